# Copyright (c) mmloc contributors. All rights reserved.
"""Boxes, sizes and histograms of the regions of a segmentation.

Of the three HSV channels of the published colour histogram only V carries
information: on the scale of 0 to 255 that it is taken on, H and S always
fall into the first of their bins.
"""
import numpy as np

from mmloc.utils.compiled import compiled, read_only

COLOUR_BINS = 25
TEXTURE_BINS = 10
#: Where the diagonal neighbours lie on the circle of radius 1, to as many
#: digits as scikit-image takes.
_DIAGONAL = 0.70711


def _bin_of_value(num_bins: int) -> np.ndarray:
    """Bin of each 8-bit value, as ``np.histogram`` divides 0 to 255."""
    edges = np.histogram_bin_edges(np.empty(0), num_bins, (0., 255.))
    return np.searchsorted(edges[1:-1], np.arange(256), side='right')


_COLOUR_BIN = _bin_of_value(COLOUR_BINS)
_TEXTURE_BIN = _bin_of_value(TEXTURE_BINS)


def describe_regions(img: np.ndarray, labels: np.ndarray) -> tuple:
    """Measure each region of a segmented image.

    The texture is the local binary pattern of 8 points at radius 1 of each
    channel, bit for bit scikit-image's ``local_binary_pattern``.

    Args:
        img (np.ndarray): Image, (H, W, 3), uint8, RGB.
        labels (np.ndarray): Region of each pixel, (H, W), from 0 on in the
            order of first appearance.

    Returns:
        tuple[np.ndarray]: Boxes (R, 4), int32, as ``min_x, min_y, max_x,
        max_y`` of the pixels; sizes (R, ), int64, in pixels; and histograms
        (R, 55), float64, 25 bins of V and 10 of the texture of each channel,
        each of the four summing to 1.
    """
    num = int(labels.max()) + 1
    boxes = np.empty((num, 4), np.int32)
    boxes[:, :2] = np.iinfo(np.int32).max
    boxes[:, 2:] = -1
    sizes = np.zeros(num, np.int64)
    histograms = np.zeros((num, COLOUR_BINS + 3 * TEXTURE_BINS))
    _measure(read_only(img), labels, boxes, sizes, histograms, _COLOUR_BIN,
             _TEXTURE_BIN)
    histograms /= sizes[:, None]
    return boxes, sizes, histograms


@compiled
def _measure(img, labels, boxes, sizes, histograms, colour_bin, texture_bin):
    height, width = labels.shape
    # Rows of one channel with the zeros that the pattern sees outside.
    rows = np.zeros((3, 3, width + 2))
    codes = np.empty((3, width), np.uint8)
    right, left = _fractions(width)
    down, up = _fractions(height)
    _load_row(img, 0, rows[:, 1])
    for y in range(height):
        if y + 1 < height:
            _load_row(img, y + 1, rows[:, 2])
        else:
            rows[:, 2] = 0
        for channel in range(3):
            _pattern(rows[channel], up[y], down[y], left, right,
                     codes[channel])
        _count_row(img[y], labels[y], codes, y, boxes, sizes, histograms,
                   colour_bin, texture_bin)
        rows[:, 0] = rows[:, 1]
        rows[:, 1] = rows[:, 2]


@compiled
def _fractions(num):
    """Distances of diagonal neighbours from the pixel before them.

    They depend on the position: that is how the published floats round.
    """
    after = np.empty(num)
    before = np.empty(num)
    for i in range(num):
        after[i] = (i + _DIAGONAL) - i
        before[i] = (i - _DIAGONAL) - (i - 1)
    return after, before


@compiled
def _load_row(img, y, row):
    for channel in range(3):
        for x in range(img.shape[1]):
            row[channel, x + 1] = img[y, x, channel]


@compiled
def _between(first, second, fraction):
    return (1 - fraction) * first + fraction * second


@compiled
def _pattern(rows, up, down, left, right, codes):
    """Local binary patterns of a row, anticlockwise from the east."""
    above, here, below = rows
    for x in range(len(codes)):
        value = here[x + 1]
        west, east = left[x], right[x]
        middle_west = _between(here[x], value, west)
        middle_east = _between(value, here[x + 2], east)
        north_east = _between(
            _between(above[x + 1], above[x + 2], east), middle_east, up)
        north_west = _between(
            _between(above[x], above[x + 1], west), middle_west, up)
        south_west = _between(
            middle_west, _between(below[x], below[x + 1], west), down)
        south_east = _between(
            middle_east, _between(below[x + 1], below[x + 2], east), down)
        codes[x] = ((here[x + 2] >= value)
                    | (north_east >= value) << 1
                    | (above[x + 1] >= value) << 2
                    | (north_west >= value) << 3
                    | (here[x] >= value) << 4
                    | (south_west >= value) << 5
                    | (below[x + 1] >= value) << 6
                    | (south_east >= value) << 7)


@compiled
def _count_row(pixels, labels, codes, y, boxes, sizes, histograms, colour_bin,
               texture_bin):
    for x in range(len(labels)):
        region = labels[x]
        box = boxes[region]
        box[0] = min(box[0], x)
        box[1] = min(box[1], y)
        box[2] = max(box[2], x)
        box[3] = y
        sizes[region] += 1
        value = max(pixels[x, 0], pixels[x, 1], pixels[x, 2])
        histogram = histograms[region]
        histogram[colour_bin[value]] += 1
        for channel in range(3):
            first = COLOUR_BINS + channel * TEXTURE_BINS
            histogram[first + texture_bin[codes[channel, x]]] += 1
