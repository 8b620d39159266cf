# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes, bbox_overlaps
from torchvision.ops import nms

from mmloc.datasets.transforms import AugmentBoxes, PackRegionInputs


def results_of(*boxes, shape=(256, 256)):
    return dict(
        img=np.zeros((*shape, 3), np.uint8),
        img_shape=shape,
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes).reshape(-1, 4)),
        gt_bboxes_labels=np.arange(len(boxes)))


def test_augmented_boxes_overlap_and_are_anchors():
    np.random.seed(0)
    augment = AugmentBoxes(iou_thr=0.55)
    boxes = [[30., 40., 150., 140.], [60., 70., 180., 210.]]
    anchors = augment.anchors((256, 256))
    drawn = set()
    for _ in range(20):
        results = augment(results_of(*boxes))
        augmented = torch.from_numpy(results['aug_bboxes'])
        assert results['aug_bboxes'].dtype == np.float32
        ious = bbox_overlaps(
            results['gt_bboxes'].tensor, augmented, is_aligned=True)
        assert (ious > 0.55).all()
        assert results['gt_bboxes'].tensor.tolist() == boxes
        for box in augmented:
            assert (anchors == box).all(dim=1).any()
        drawn.add(tuple(augmented[0].tolist()))
    assert len(drawn) > 3


def test_survivors_are_those_of_torchvision():
    """Bit for bit, also of equal scores and of boxes at the threshold."""
    generator = torch.Generator().manual_seed(0)
    augment = AugmentBoxes(nms_iou_thr=0.25)
    anchors = augment.anchors((256, 256))
    num_kept = 0
    for _ in range(30):
        rows = torch.randperm(len(anchors), generator=generator)[:300]
        scores = torch.randint(50, (300, ), generator=generator) / 50
        expected = anchors[rows][nms(anchors[rows], scores, 0.25)]
        kept = augment.survivors(anchors[rows], scores)
        assert torch.equal(kept, expected)
        num_kept += len(kept)
    assert 30 < num_kept < 30 * 300


def test_grid_covers_rectangular_images():
    anchors = AugmentBoxes().anchors((100, 250))
    # 7 x 16 cells of 20 anchors.
    assert len(anchors) == 7 * 16 * 20
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    torch.testing.assert_close(
        centres.amax(dim=0), torch.tensor([240., 96.]))


def test_box_without_candidates():
    tiny = [100.25, 100.25, 104.5, 104.5]
    results = AugmentBoxes()(results_of(tiny))
    assert results['aug_bboxes'].tolist() == [tiny]
    np.random.seed(0)
    results = AugmentBoxes(fallback='top', num_fallback=10)(results_of(tiny))
    ious = bbox_overlaps(
        torch.tensor([tiny]), torch.from_numpy(results['aug_bboxes']))
    assert 0 < ious.item() < 0.5


def test_no_boxes():
    assert AugmentBoxes()(results_of())['aug_bboxes'].shape == (0, 4)


def test_rejects_bad_arguments():
    with pytest.raises(ValueError, match='fallback'):
        AugmentBoxes(fallback='whole')
    with pytest.raises(ValueError, match='iou_thr is 1'):
        AugmentBoxes(iou_thr=1)
    with pytest.raises(ValueError, match='one grid'):
        AugmentBoxes(
            dict(
                type='mmdet.AnchorGenerator',
                strides=[8, 16],
                scales=[8],
                ratios=[1.]))


def test_packing():
    results = AugmentBoxes()(results_of([30., 40., 150., 140.]))
    packed = PackRegionInputs()(results)
    instances = packed['data_samples'].gt_instances
    assert packed['inputs'].shape == (3, 256, 256)
    assert torch.equal(instances.aug_bboxes,
                       torch.from_numpy(results['aug_bboxes']))
    assert instances.labels.tolist() == [0]


def test_packing_without_augmented_boxes():
    packed = PackRegionInputs()(results_of([30., 40., 150., 140.]))
    assert 'aug_bboxes' not in packed['data_samples'].gt_instances


def test_packs_what_mmdet_packs():
    given = dict(results_of([30., 40., 150., 140.], [3., 4., 15., 14.]),
                 flip=True, img_path='a.jpg', unknown=3)
    more = dict(gt_ignore_flags=np.array([True, False]),
                proposals=np.zeros((2, 4)), proposals_scores=np.ones(2))
    for results in (given, dict(given, **more)):
        ours = PackRegionInputs()(dict(results))['data_samples']
        theirs = PackDetInputs()(dict(results))['data_samples']
        assert ours.metainfo == theirs.metainfo
        if results is given:
            assert len(theirs.ignored_instances) == 0
            del theirs.ignored_instances
        assert set(ours.all_keys()) == set(theirs.all_keys())
        for name in theirs.keys():
            one, other = getattr(ours, name), getattr(theirs, name)
            assert set(one.keys()) == set(other.keys())
            for key, value in other.items():
                value = getattr(value, 'tensor', value)
                assert torch.equal(getattr(one[key], 'tensor', one[key]),
                                   value)


def test_refuses_instances_that_do_not_fit_together():
    results = results_of([30., 40., 150., 140.])
    results['gt_bboxes_labels'] = np.arange(2)
    with pytest.raises(ValueError, match=r"have {'bboxes': 1, 'labels': 2}"):
        PackRegionInputs()(results)
