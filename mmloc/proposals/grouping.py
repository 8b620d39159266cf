# Copyright (c) mmloc contributors. All rights reserved.
"""Hierarchical grouping: merge the two most similar regions, again and again.

All sums are taken in the published order, without the compensation that
Python's ``sum`` has from 3.12 on: either would change the winner where two
similarities are nearly equal.
"""
import numpy as np

from mmloc.utils.compiled import compiled

from .regions import COLOUR_BINS


def group_regions(boxes: np.ndarray, sizes: np.ndarray,
                  histograms: np.ndarray, num_pixels: int) -> tuple:
    """Merge neighbouring regions until none are left.

    Two regions are neighbours if a corner of the later one's box lies
    strictly inside the box of the earlier one, or if regions that they were
    merged from were. Regions without a neighbour stay as they are, so that
    fewer than ``2 * R - 1`` boxes may come out.

    Args:
        boxes (np.ndarray): Of the R regions, (R, 4), int32, ``min_x, min_y,
            max_x, max_y``.
        sizes (np.ndarray): Their pixels, (R, ), int64.
        histograms (np.ndarray): What :func:`describe_regions` returns,
            (R, 55); overwritten.
        num_pixels (int): Of the image.

    Returns:
        tuple[np.ndarray]: Boxes (n, 4), int32, and sizes (n, ), int64, those
        of the R regions first, then the merged ones in order of merging.
    """
    num = len(boxes)
    all_boxes = np.empty((2 * num - 1, 4), np.int32)
    all_sizes = np.empty(2 * num - 1, np.int64)
    all_boxes[:num] = boxes
    all_sizes[:num] = sizes
    pairs = np.empty((_neighbours(boxes, np.empty((0, 2), np.int32)), 2),
                     np.int32)
    _neighbours(boxes, pairs)
    count = _merge_all(pairs, all_boxes, all_sizes, histograms, num_pixels)
    return all_boxes[:count], all_sizes[:count]


@compiled
def _neighbours(boxes, pairs):
    """Count the pairs of neighbours, and note as many as there is room."""
    count = 0
    for first in range(len(boxes)):
        x1, y1, x2, y2 = boxes[first]
        for second in range(first + 1, len(boxes)):
            u1, v1, u2, v2 = boxes[second]
            if ((x1 < u1 < x2) | (x1 < u2 < x2)) & (
                    (y1 < v1 < y2) | (y1 < v2 < y2)):
                if count < len(pairs):
                    pairs[count, 0] = first
                    pairs[count, 1] = second
                count += 1
    return count


@compiled
def _similarity(first, second, boxes, sizes, histogram_1, histogram_2,
                num_pixels):
    colour = 2.  # H and S are equal
    for i in range(COLOUR_BINS):
        colour += min(histogram_1[i], histogram_2[i])
    texture = 0.
    for i in range(COLOUR_BINS, len(histogram_1)):
        texture += min(histogram_1[i], histogram_2[i])
    total = sizes[first] + sizes[second]
    x1, y1, x2, y2 = _union(boxes[first], boxes[second])
    empty = (x2 - x1) * (y2 - y1) - total
    return colour + texture + (1. - total / num_pixels) + (
        1. - empty / num_pixels)


@compiled
def _union(box, other):
    return (np.int64(min(box[0], other[0])), np.int64(min(box[1], other[1])),
            np.int64(max(box[2], other[2])), np.int64(max(box[3], other[3])))


@compiled
def _most_similar(similarities, count):
    """The last one of the largest, as published."""
    best = 0
    for i in range(1, count):
        if similarities[i] >= similarities[best]:
            best = i
    return best


@compiled
def _merge(first, second, new, boxes, sizes, histogram_1, histogram_2):
    """Write the union of two regions; its histogram over the first's."""
    boxes[new] = _union(boxes[first], boxes[second])
    sizes[new] = sizes[first] + sizes[second]
    for i in range(len(histogram_1)):
        histogram_1[i] = (histogram_1[i] * sizes[first]
                          + histogram_2[i] * sizes[second]) / sizes[new]


@compiled
def _take_partners(pairs, similarities, count, first, second, new, partners,
                   partner_of):
    """Remove the pairs of two regions; note once who else was in them."""
    kept = num = 0
    for i in range(count):
        a, b = pairs[i]
        if a != first and a != second and b != first and b != second:
            pairs[kept] = pairs[i]
            similarities[kept] = similarities[i]
            kept += 1
            continue
        other = b if a == first or a == second else a
        if other != first and other != second and partner_of[other] != new:
            partner_of[other] = new
            partners[num] = other
            num += 1
    return kept, num


@compiled
def _merge_all(pairs, boxes, sizes, histograms, num_pixels):
    num = len(histograms)
    row = np.arange(len(boxes))  # of the histogram of each region
    similarities = np.empty(len(pairs))
    for i in range(len(pairs)):
        a, b = pairs[i]
        similarities[i] = _similarity(a, b, boxes, sizes, histograms[a],
                                      histograms[b], num_pixels)
    partners = np.empty(num, np.int32)
    partner_of = np.zeros(len(boxes), np.int32)
    count = len(pairs)
    while count:
        first, second = pairs[_most_similar(similarities, count)]
        _merge(first, second, num, boxes, sizes, histograms[row[first]],
               histograms[row[second]])
        row[num] = row[first]
        count, num_partners = _take_partners(
            pairs, similarities, count, first, second, num, partners,
            partner_of)
        for other in partners[:num_partners]:
            pairs[count, 0] = num
            pairs[count, 1] = other
            similarities[count] = _similarity(
                num, other, boxes, sizes, histograms[row[num]],
                histograms[row[other]], num_pixels)
            count += 1
        num += 1
    return num
