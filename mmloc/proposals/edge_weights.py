# Copyright (c) mmloc contributors. All rights reserved.
"""Distances of neighbouring pixels in the smoothed image.

Bit for bit what SciPy's Gaussian filter and scikit-image make of the image
as float64 in [0, 1], a strip of rows at a time: a whole image would take 80
bytes per pixel.
"""
import math

import numpy as np

from mmloc.utils.compiled import compiled

_ROWS = 16


def gaussian_weights(sigma: float) -> np.ndarray:
    """Weights of a Gaussian filter, cut off at 4 standard deviations.

    Args:
        sigma (float): Standard deviation in pixels.

    Returns:
        np.ndarray: Weight of the pixel itself, of the next ones, ..., (r, ).
    """
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1)**2)
    return (weights / weights.sum())[radius:]


def edge_weights(img: np.ndarray, top: int, bottom: int,
                 weights: np.ndarray) -> np.ndarray:
    """Distances from the pixels of some rows to those after them.

    Args:
        img (np.ndarray): Image, (H, W, 3), uint8.
        top, bottom (int): The rows, from ``top`` to before ``bottom``.
        weights (np.ndarray): What :func:`gaussian_weights` returns.

    Returns:
        np.ndarray: (bottom - top, 4, W), float64: from each pixel to the
        right; downwards; to the lower right; and from its right neighbour to
        the lower left, to the pixel below it. Infinite where such a pixel is
        outside of the image.
    """
    distances = np.full((bottom - top, 4, img.shape[1]), math.inf)
    _measure_rows(img, top, weights, distances)
    return distances


@compiled
def _reflected(i, num):
    """Position in a line that is followed by its mirror image, and so on."""
    i %= 2 * num
    return i if i < num else 2 * num - 1 - i


@compiled
def _measure_rows(img, top, weights, distances):
    """Measure a few rows at a time, which stay in the processor's cache."""
    height, width = img.shape[:2]
    radius = len(weights) - 1
    rows = np.empty((_ROWS + 1 + 2 * radius, 3, width))
    smooth = np.empty((_ROWS + 1, 3, width))
    for first in range(0, len(distances), _ROWS):
        last = min(first + _ROWS, len(distances))
        num = min(last + 1, height - top) - first
        _load(img, top + first - radius, rows[:num + 2 * radius])
        _smooth(rows, weights, smooth[:num])
        _measure(smooth[:num], distances[first:last])


@compiled
def _load(img, top, rows):
    height, width = img.shape[:2]
    for i in range(len(rows)):
        y = _reflected(top + i, height)
        for channel in range(3):
            for x in range(width):
                rows[i, channel, x] = img[y, x, channel] * (1. / 255.)


@compiled
def _weigh(line, weight, total):
    for x in range(len(total)):
        total[x] = line[x] * weight


@compiled
def _add_weighted(first, second, weight, total):
    for x in range(len(total)):
        total[x] += (first[x] + second[x]) * weight


@compiled
def _smooth(rows, weights, smooth):
    """Filter columns, then rows; SciPy too adds the farthest pixels first."""
    radius = len(weights) - 1
    width = smooth.shape[2]
    line = np.empty(width + 2 * radius)
    for y in range(len(smooth)):
        for channel in range(3):
            middle = line[radius:radius + width]
            _weigh(rows[y + radius, channel], weights[0], middle)
            for i in range(radius, 0, -1):
                _add_weighted(rows[y + radius - i, channel],
                              rows[y + radius + i, channel], weights[i],
                              middle)
            for i in range(radius):
                line[i] = middle[_reflected(i - radius, width)]
                line[radius + width + i] = middle[
                    _reflected(width + i, width)]
            total = smooth[y, channel]
            _weigh(middle, weights[0], total)
            for i in range(radius, 0, -1):
                _add_weighted(line[radius - i:], line[radius + i:],
                              weights[i], total)


@compiled
def _measure_between(first, start, second, end, distances):
    """Distances of pixels from ``start`` on to those from ``end`` on."""
    for x in range(len(distances) - max(start, end)):
        red = first[0, x + start] - second[0, x + end]
        green = first[1, x + start] - second[1, x + end]
        blue = first[2, x + start] - second[2, x + end]
        distances[x] = math.sqrt(red * red + green * green + blue * blue)


@compiled
def _measure(smooth, distances):
    for y in range(len(distances)):
        here = smooth[y]
        _measure_between(here, 0, here, 1, distances[y, 0])
        if y + 1 < len(smooth):
            below = smooth[y + 1]
            _measure_between(here, 0, below, 0, distances[y, 1])
            _measure_between(here, 0, below, 1, distances[y, 2])
            _measure_between(here, 1, below, 0, distances[y, 3])
