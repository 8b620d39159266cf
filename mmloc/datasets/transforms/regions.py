# Copyright (c) mmloc contributors. All rights reserved.
"""Arithmetic on boxes and on the region of an image that a view shows.

Boxes and regions are float64 arrays (..., 4), xyxy. They are pixels of the
raw image and continuous: a region of width w reaches from x1 to x1 + w. With
``inclusive`` pixels, the published convention of SoCo, the last pixel is
named instead (x2 = x1 + w - 1); see :func:`last_pixels`.
"""
import numpy as np

_LAST_PIXEL = np.array([0, 0, 1, 1])


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
    return np.array([x, y, x + width / x_scale, y + height / y_scale]).round(2)


def last_pixels(boxes: np.ndarray) -> np.ndarray:
    """Corners as inclusive pixels: x2 - 1 and y2 - 1 for x2 and y2."""
    return boxes - _LAST_PIXEL


def intersect(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Parts of boxes that lie within a region.

    Args:
        boxes (np.ndarray): (..., 4).
        region (np.ndarray): (4, ).

    Returns:
        np.ndarray: (..., 4), :func:`empty` where they do not overlap.
    """
    parts = np.array(boxes)
    np.maximum(parts[..., :2], region[:2], out=parts[..., :2])
    np.minimum(parts[..., 2:], region[2:], out=parts[..., 2:])
    return parts


def empty(boxes: np.ndarray) -> np.ndarray:
    """Whether boxes have no width or no height, (...)."""
    return ((boxes[..., 0] >= boxes[..., 2])
            | (boxes[..., 1] >= boxes[..., 3]))


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
    corners = boxes[:, :2]
    sides = boxes[:, 2:] - corners + inclusive
    corners = corners + changes[:, :2] * sides
    sides = sides * (1 + changes[:, 2:])
    return np.concatenate([corners, corners + sides - inclusive], 1)


def normalize_boxes(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Boxes as fractions of a region's width and height.

    Args:
        boxes (np.ndarray): (n, 4).
        region (np.ndarray): (4, ), continuous.

    Returns:
        np.ndarray: (n, 4), 0 to 1 inside the region.
    """
    origin, end = region[:2], region[2:]
    corners = boxes.reshape(-1, 2, 2)
    return ((corners - origin) / (end - origin)).reshape(-1, 4)
