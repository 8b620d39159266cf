# Copyright (c) mmloc contributors. All rights reserved.
"""The box augmentation against the published implementation."""
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes, bbox_overlaps

from mmloc.datasets.transforms import AugmentBoxes

from .golden import load_case


@pytest.fixture(scope='module')
def golden():
    return load_case('insloc_anchors')


@pytest.fixture(scope='module')
def augment(golden):
    case, _ = golden
    return AugmentBoxes(
        iou_thr=case['iou_threshold'],
        nms_iou_thr=case['nms_threshold'],
        fallback='top',
        num_fallback=case['nms_pre'])


@pytest.fixture(scope='module')
def anchors(golden, augment):
    case, _ = golden
    return augment.anchors([side * case['stride']
                            for side in case['feature_size']])


def split(rows: np.ndarray, counts: np.ndarray) -> list:
    return np.split(rows, np.cumsum(counts)[:-1])


def test_anchors(golden, anchors):
    case, arrays = golden
    np.testing.assert_array_equal(anchors.numpy(), arrays['anchors'])
    np.testing.assert_array_equal(
        anchors[:case['num_base_anchors']].numpy(), arrays['base_anchors'])


def test_candidates(golden, augment, anchors):
    _, arrays = golden
    expected = split(arrays['cand_boxes'], arrays['cand_count'])
    for box, candidates in zip(
            torch.from_numpy(arrays['gt_boxes']), expected, strict=True):
        ours = augment.candidates(box, anchors)
        np.testing.assert_array_equal(ours.numpy(), candidates)


def test_survivors(golden, augment):
    """Ours are thinned out per box, the reference's for the whole batch."""
    _, arrays = golden
    counts = arrays['cand_count']
    for candidates, scores, kept in zip(
            split(arrays['cand_boxes'], counts),
            split(arrays['nms_scores'], counts),
            split(arrays['kept_boxes'], arrays['kept_count']),
            strict=True):
        ours = augment.survivors(
            torch.from_numpy(candidates), torch.from_numpy(scores))
        np.testing.assert_array_equal(ours.numpy(), kept)


def test_fallback(golden, augment, anchors):
    case, arrays = golden
    for i, box in enumerate(torch.from_numpy(arrays['fallback_gt_boxes'])):
        ours = augment.candidates(box, anchors)
        assert len(ours) == case['nms_pre']
        ious = bbox_overlaps(box[None], ours)[0].numpy()
        # The same formula in another order of operations: float32 rounding.
        np.testing.assert_allclose(
            np.sort(ious)[::-1], arrays['fallback_iou_sorted'][i], atol=1e-6)
        assert (ious > 0).sum() == arrays['fallback_n_positive'][i]
        np.testing.assert_allclose(
            ious.max(), arrays['fallback_max_iou'][i], atol=1e-6)
        assert len(AugmentBoxes().candidates(box, anchors)) == 0


def test_draws(golden, augment):
    """Mean IoU of the drawn boxes, within 5 standard errors."""
    case, _ = golden
    size = [side * case['stride'] for side in case['feature_size']]
    np.random.seed(0)
    for entry in case['draw_statistics']:
        num = 1000
        box = torch.tensor([entry['gt']])
        results = augment.transform(
            dict(
                gt_bboxes=HorizontalBoxes(box.repeat(num, 1)),
                img_shape=size))
        ious = bbox_overlaps(box, torch.from_numpy(results['aug_bboxes']))[0]
        error = entry['iou_std'] * np.sqrt(1 / num + 1 / entry['n_draws'])
        assert abs(ious.mean().item() - entry['iou_mean']) < 5 * error
