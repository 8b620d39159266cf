# Copyright (c) mmloc contributors. All rights reserved.
"""Arithmetic on boxes and on the region of an image that a view shows.

Boxes are float64 arrays (n, 4), regions (4, ), xyxy. They are pixels of the
raw image and continuous: a region of width w reaches from x1 to x1 + w. With
``inclusive`` pixels, the published convention of SoCo, the last pixel is
named instead (x2 = x1 + w - 1); see :func:`last_pixels`.

Most is compiled: of arrays this small NumPy takes ten times as long.
"""
import numpy as np

from mmloc.utils.compiled import compiled

_LAST_PIXEL = np.array([0., 0., 1., 1.])


def view_region(homography: np.ndarray, img_shape: tuple) -> np.ndarray:
    """Region of the raw image that a view shows.

    Args:
        homography (np.ndarray): (3, 3), from the raw image to the view, as
            mmdet's transforms keep it in ``homography_matrix``.
        img_shape (tuple): Height and width of the view.

    Returns:
        np.ndarray: (4, ), rounded to hundredths of a pixel. The rounding
        takes back the error of mmdet's float32 scales: without it a proposal
        that only touches a crop would overlap it.

    Raises:
        ValueError: The view is mirrored, rotated or sheared.
    """
    height, width = img_shape[:2]
    (x_scale, *row), (skew, y_scale, top), last = homography.tolist()
    # Python's numbers: NumPy's overhead on nine of them would be felt.
    if (x_scale <= 0 or y_scale <= 0 or row[0] or skew
            or last != [0., 0., 1.]):
        raise ValueError(
            f'The homography of a view is {np.asarray(homography).tolist()}, '
            'but only crops and resizes may come before the boxes are '
            "selected; move flips and the like to 'then' of the view.")
    x, y = -row[1] / x_scale, -top / y_scale
    corners = x, y, x + width / x_scale, y + height / y_scale
    return np.array([round(corner * 100) / 100 for corner in corners])


def last_pixels(boxes: np.ndarray) -> np.ndarray:
    """Corners as inclusive pixels: x2 - 1 and y2 - 1 for x2 and y2."""
    return boxes - _LAST_PIXEL


@compiled
def intersect(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Parts of boxes that lie within a region.

    Args:
        boxes (np.ndarray): (n, 4).
        region (np.ndarray): (4, ).

    Returns:
        np.ndarray: (n, 4), :func:`empty` where they do not overlap.
    """
    parts = np.empty_like(boxes)
    for i in range(len(boxes)):
        for low, high in ((0, 2), (1, 3)):
            parts[i, low] = max(boxes[i, low], region[low])
            parts[i, high] = min(boxes[i, high], region[high])
    return parts


@compiled
def empty(boxes: np.ndarray) -> np.ndarray:
    """Whether boxes (n, 4) have no width or no height, bool (n, )."""
    result = np.empty(len(boxes), np.bool_)
    for i in range(len(boxes)):
        result[i] = (
            boxes[i, 0] >= boxes[i, 2] or boxes[i, 1] >= boxes[i, 3])
    return result


@compiled
def common(boxes: np.ndarray, first: np.ndarray,
           second: np.ndarray) -> np.ndarray:
    """Which boxes overlap what two regions have in common.

    Args:
        boxes (np.ndarray): (n, 4).
        first (np.ndarray): Region, (4, ).
        second (np.ndarray): Region, (4, ).

    Returns:
        np.ndarray: Their rows, int64 (m, ), rising.
    """
    rows = np.empty(len(boxes), np.int64)
    num = 0
    for i in range(len(boxes)):
        left = max(boxes[i, 0], first[0], second[0])
        top = max(boxes[i, 1], first[1], second[1])
        right = min(boxes[i, 2], first[2], second[2])
        bottom = min(boxes[i, 3], first[3], second[3])
        if left < right and top < bottom:
            rows[num] = i
            num += 1
    return rows[:num]


@compiled
def box_changes(drawn: np.ndarray, prob: float, ratio: float) -> np.ndarray:
    """Changes of boxes for :func:`jitter_boxes`.

    Args:
        drawn (np.ndarray): (5 * n, ), uniform in [0, 1): first one for each
            box that decides on its change, then its four changes for each.
        prob (float): Probability of a change.
        ratio (float): Of the sides, the largest change.

    Returns:
        np.ndarray: (n, 4), from ``-ratio`` to ``ratio``, or zeros.
    """
    num = len(drawn) // 5
    changes = np.zeros((num, 4))
    for i in range(num):
        if drawn[i] < prob:
            for j in range(4):
                changes[i, j] = 2 * ratio * drawn[num + 4 * i + j] - ratio
    return changes


@compiled
def jitter_boxes(boxes: np.ndarray,
                 changes: np.ndarray,
                 inclusive: bool = False) -> np.ndarray:
    """Shift and stretch boxes by fractions of their sides.

    Args:
        boxes (np.ndarray): (n, 4).
        changes (np.ndarray): (n, 4). The first two shift x1 and y1 by a
            fraction of width and height, the last two lengthen width and
            height by one. Zeros leave a box as it is.
        inclusive (bool): Whether a side is x2 - x1 + 1. Defaults to False.

    Returns:
        np.ndarray: (n, 4), not clipped.
    """
    jittered = np.empty_like(boxes)
    for i in range(len(boxes)):
        for low, high in ((0, 2), (1, 3)):
            side = boxes[i, high] - boxes[i, low] + inclusive
            start = boxes[i, low] + changes[i, low] * side
            side = side * (1 + changes[i, high])
            jittered[i, low] = start
            jittered[i, high] = start + side - inclusive
    return jittered


@compiled
def normalize_boxes(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Boxes as fractions of a region's width and height.

    Args:
        boxes (np.ndarray): (n, 4).
        region (np.ndarray): (4, ), continuous.

    Returns:
        np.ndarray: (n, 4), 0 to 1 inside the region.
    """
    result = np.empty_like(boxes)
    for i in range(len(boxes)):
        for j in range(4):
            start = region[j % 2]
            side = region[j % 2 + 2] - start
            result[i, j] = (boxes[i, j] - start) / side
    return result
