# Copyright (c) mmloc contributors. All rights reserved.
"""Arithmetic on boxes and on the region of an image that a view shows.

Boxes and regions are float64 arrays (..., 4), xyxy. They are pixels of the
raw image and continuous: a region of width w reaches from x1 to x1 + w. With
``inclusive`` pixels, the published convention of SoCo, the last pixel is
named instead (x2 = x1 + w - 1); see :func:`last_pixels`.
"""
import numpy as np


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
    scale = np.diag(homography)[:2]
    moved = np.array(homography, dtype=np.float64)
    moved[[0, 1], [0, 1]] = 1
    moved[:2, 2] = 0
    if not (scale > 0).all() or not np.array_equal(moved, np.eye(3)):
        raise ValueError(
            f'The homography of a view is {np.asarray(homography).tolist()}, '
            'but only crops and resizes may come before the boxes are '
            "selected; move flips and the like to 'then' of the view.")
    corner = -np.asarray(homography, dtype=np.float64)[:2, 2] / scale
    return np.concatenate(
        [corner, corner + np.array([width, height]) / scale]).round(2)


def last_pixels(boxes: np.ndarray) -> np.ndarray:
    """Corners as inclusive pixels: x2 - 1 and y2 - 1 for x2 and y2."""
    return boxes - [0, 0, 1, 1]


def intersect(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Parts of boxes that lie within a region.

    Args:
        boxes (np.ndarray): (..., 4).
        region (np.ndarray): (4, ).

    Returns:
        np.ndarray: (..., 4), :func:`empty` where they do not overlap.
    """
    return np.concatenate([
        np.maximum(boxes[..., :2], region[:2]),
        np.minimum(boxes[..., 2:], region[2:])
    ], -1)


def empty(boxes: np.ndarray) -> np.ndarray:
    """Whether boxes have no width or no height, (...)."""
    return (boxes[..., :2] >= boxes[..., 2:]).any(-1)


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
    origin, end = np.split(region, 2)
    return (boxes - np.tile(origin, 2)) / np.tile(end - origin, 2)
