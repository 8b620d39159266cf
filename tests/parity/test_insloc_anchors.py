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


class CountingAugmentBoxes(AugmentBoxes):
    """Note how many candidates survive the suppression in each draw."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.counts = []

    def survivors(self, candidates, scores):
        kept = super().survivors(candidates, scores)
        self.counts.append(len(kept))
        return kept


@pytest.fixture
def augment(golden):
    case, _ = golden
    # The set names the grid; the sides of the anchors are our defaults.
    default = AugmentBoxes().anchor_generator
    return CountingAugmentBoxes(
        anchor_generator=dict(
            type='mmdet.AnchorGenerator',
            strides=[case['stride']],
            base_sizes=default.base_sizes,
            scales=default.scales.tolist(),
            ratios=default.ratios.tolist()),
        iou_thr=case['iou_threshold'],
        nms_iou_thr=case['nms_threshold'],
        fallback='top',
        num_fallback=case['nms_pre'])


@pytest.fixture
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


def draw(augment: AugmentBoxes, box: torch.Tensor, num: int, size) -> dict:
    """Draws of the quantities that the reference's statistics name."""
    augment.counts = []
    results = augment.transform(
        dict(gt_bboxes=HorizontalBoxes(box.repeat(num, 1)), img_shape=size))
    boxes = torch.from_numpy(results['aug_bboxes'])
    left, top, right, bottom = boxes.double().numpy().T
    return dict(
        survivors=np.array(augment.counts),
        iou=bbox_overlaps(box, boxes)[0].double().numpy(),
        width=right - left,
        height=bottom - top,
        centre_x=(left + right) / 2,
        centre_y=(top + bottom) / 2)


def test_draws(golden, augment):
    """Means and deviations of the draws, within 5 standard errors."""
    case, _ = golden
    size = [side * case['stride'] for side in case['feature_size']]
    num = 1000
    for entry in case['draw_statistics']:
        draws = draw(augment, torch.tensor([entry['gt']]), num, size)
        means = dict(
            zip(('centre_x_mean', 'centre_y_mean'), entry['centre_mean']),
            **entry)
        # Only float32 rounding is left where all draws are equal.
        error = np.sqrt(1 / num + 1 / entry['n_draws'])
        for name, values in draws.items():
            assert len(values) == num, name
            std = entry.get(f'{name}_std', values.std())
            limit = 5 * std * error + 1e-4
            assert abs(values.mean() - means[f'{name}_mean']) < limit, name
            assert abs(values.std() - std) < limit, name
