# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from mmloc.datasets.transforms import CutoutInBoxes

MEAN_BGR = [104, 116, 124]


def sample(*boxes, side=200):
    return dict(
        img=np.zeros((side, side, 3), np.uint8),
        gt_bboxes=HorizontalBoxes(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)))


def test_squares():
    boxes = np.array([[0., 0, 40, 10], [100, 100, 120, 180]])
    squares = CutoutInBoxes.squares(
        boxes, np.array([.25, .16]), np.array([[.5, 1], [0, .5]]))
    # Sides 10 and 16; the first leaves its box, which is wanted.
    np.testing.assert_array_equal(
        squares, [[15, 5, 25, 15], [92, 132, 108, 148]])


def test_cuts_a_square_of_the_mean_colour_about_the_box():
    cutout = CutoutInBoxes(prob=1.)
    box = [60, 40, 160, 140]
    areas, centres = [], []
    for _ in range(200):
        before = sample(box)
        img = before['img']
        after = cutout(before)['img']
        # The input is not written to.
        assert not img.any()
        ys, xs = np.nonzero((after == MEAN_BGR).all(2))
        width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
        assert len(xs) == width * height == (after > 0).sum() / 3
        assert abs(width - height) <= 1
        areas.append(len(xs) / 100**2)
        centres.append([xs.mean() - 59.5, ys.mean() - 39.5])
    assert .09 < min(areas) < .13 < .27 < max(areas) < .31
    # Uniform in the box: within five standard errors of its middle.
    error = abs(np.mean(centres, 0) - 50)
    assert (error < 5 * 100 / np.sqrt(12 * 200)).all()
    assert np.min(centres) > -1
    assert np.max(centres) < 101


def test_each_box_has_its_own_chance():
    cutout = CutoutInBoxes(prob=.5, area=(.2, .2))
    boxes = [0, 0, 60, 60], [120, 120, 200, 200]
    counts = np.zeros((2, 2))
    for _ in range(200):
        img = cutout(sample(*boxes))['img']
        counts[int(img[:90, :90].any()), int(img[90:, 90:].any())] += 1
    assert (abs(counts - 50) < 5 * np.sqrt(200 * 3 / 16)).all()


def test_clipped_at_the_border_of_the_image():
    cutout = CutoutInBoxes(prob=1., area=(1., 1.))
    for _ in range(20):
        results = cutout(sample([0, 0, 20, 20], side=20))
        assert results['img'].shape == (20, 20, 3)
        assert (results['img'] == MEAN_BGR).all(2).sum() >= 100


def test_no_boxes_and_no_chance():
    assert not CutoutInBoxes(prob=1.)(sample())['img'].any()
    assert not CutoutInBoxes(prob=0.)(sample([0, 0, 9, 9]))['img'].any()


def test_rejects_bad_arguments():
    with pytest.raises(ValueError, match='prob is 2'):
        CutoutInBoxes(prob=2)
    with pytest.raises(ValueError, match='area must rise'):
        CutoutInBoxes(area=(.3, .1))
