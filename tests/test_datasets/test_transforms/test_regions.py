# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
from mmdet.datasets.transforms import RandomFlip, Resize

from mmloc.datasets.transforms import RandomResizedCrop
from mmloc.datasets.transforms.regions import (
    box_changes,
    common,
    empty,
    intersect,
    jitter_boxes,
    last_pixels,
    normalize_boxes,
    view_region,
)


def test_region_of_a_crop_of_a_crop():
    """Two crops and three resizes, from float32 factors to the pixel."""
    crops = [RandomResizedCrop((300, 200)), RandomResizedCrop(64)]
    crops[0].rand_crop_params = lambda img: (101, 503, 2000, 3000)
    crops[1].rand_crop_params = lambda img: (20, 30, 100, 100)
    results = dict(
        img=np.zeros((4003, 5007, 1), np.uint8).repeat(3, 2),
        homography_matrix=np.eye(3))
    for transform in (*crops, Resize((33, 17))):
        results = transform(results)
    region = view_region(results['homography_matrix'], results['img_shape'])
    # 30 of 300 pixels are 300 of 3000.
    np.testing.assert_array_equal(region, [803, 301, 1803, 1301])


def test_region_of_a_mirrored_view_is_refused():
    results = dict(
        img=np.zeros((8, 8, 3), np.uint8),
        img_shape=(8, 8),
        homography_matrix=np.eye(3))
    results = RandomFlip(prob=1.)(results)
    with pytest.raises(ValueError, match="flips and the like to 'then'"):
        view_region(results['homography_matrix'], results['img_shape'])
    with pytest.raises(ValueError, match='only crops and resizes'):
        view_region(np.array([[1, .1, 0], [0, 1, 0], [0, 0, 1]]), (8, 8))


def test_intersection():
    region = np.array([10., 20, 30, 40])
    boxes = np.array([
        [0., 0, 100, 100],
        [15, 25, 20, 30],
        [5, 25, 20, 50],
        [0, 25, 10, 30],  # Touches the left side.
        [15, 40, 20, 45],  # Touches the lower side.
        [40, 50, 60, 70],
        [15, 25, 15, 30],  # No width.
    ])
    parts = intersect(boxes, region)
    np.testing.assert_array_equal(
        parts[:3], [region, boxes[1], [10, 25, 20, 40]])
    assert empty(parts).tolist() == [False] * 3 + [True] * 4


def test_common():
    first = np.array([10., 20, 30, 40])
    second = np.array([15., 10, 50, 35])
    boxes = np.array([
        [0., 0, 100, 100],
        [10, 20, 15, 40],  # Touches the second region alone.
        [16, 21, 17, 22],
        [15, 35, 30, 40],  # Touches it from below.
        [30, 20, 40, 30],  # Outside of the first.
        [20, 30, 20, 34],  # No width.
        [29, 34, 60, 90],
    ])
    for regions in ((first, second), (second, first)):
        assert common(boxes, *regions).tolist() == [0, 2, 6]
    apart = np.array([40., 20, 50, 40])
    assert common(boxes, first, apart).tolist() == []
    assert common(boxes[:0], first, second).tolist() == []


def test_changes_of_boxes():
    """They are those of one uniform draw of choices and one of changes."""
    np.random.seed(0)
    chosen = np.random.rand(6, 1) < .5
    expected = chosen * np.random.uniform(-.1, .1, (6, 4))
    np.random.seed(0)
    changes = box_changes(np.random.rand(30), .5, .1)
    np.testing.assert_array_equal(changes, expected)
    assert 0 < chosen.sum() < 6


def test_jitter():
    boxes = np.array([[10., 20, 30, 60], [1, 2, 3, 4]])
    changes = np.array([[.1, -.05, -.1, .05], [0, 0, 0, 0]])
    # 20 wide and 40 high: moved by 2 and -2, then 18 wide and 42 high.
    np.testing.assert_allclose(
        jitter_boxes(boxes, changes), [[12, 18, 30, 60], [1, 2, 3, 4]])
    # The same box by its last pixels.
    np.testing.assert_allclose(
        jitter_boxes(last_pixels(boxes), changes, inclusive=True),
        [[12, 18, 29, 59], [1, 2, 2, 3]])


def test_normalisation():
    np.testing.assert_array_equal(
        normalize_boxes(
            np.array([[10., 20, 50, 40], [30, 30, 40, 35]]),
            np.array([10., 20, 50, 40])), [[0, 0, 1, 1], [.5, .5, .75, .75]])
