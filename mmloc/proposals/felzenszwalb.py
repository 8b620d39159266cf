# Copyright (c) mmloc contributors. All rights reserved.
"""Felzenszwalb's segmentation, with the labels of scikit-image.

Every pixel starts as a region of its own. Over all edges between neighbouring
pixels, the shortest first, two regions become one if the edge is shorter than
both allow. Then those that stayed too small join their nearest neighbours,
again over the shortest edges first.

What grows does not depend on the order of equally long edges: of a region
that allows an edge of some length, all that it becomes over edges of that
length does so too. Where small regions go does depend on it. scikit-image
follows numpy's sort, which is not stable and differs between CPUs; we do the
same in images of up to ``EXACT_TIES`` pixels whenever it can matter. In
larger ones all edges at once would take too much memory: there, those further
up in the image come first.
"""
import numpy as np

from mmloc.utils.compiled import compiled

from .edges import Edges, in_ranges

#: Largest image, in pixels, of which edges of equal length are taken in the
#: order that numpy's sort puts them in.
EXACT_TIES = 2**21
#: What says that a root has a number, 0 here and falling: no size of a tree.
_NUMBERED = -2**30


def felzenszwalb(img: np.ndarray, scale: float, sigma: float,
                 min_size: int) -> np.ndarray:
    """Segment an image.

    Takes 9 bytes per pixel and up to 110 MB besides.

    Args:
        img (np.ndarray): Image, (H, W, 3), uint8.
        scale (float): The larger, the larger the regions; above 0.
        sigma (float): Standard deviation in pixels of the smoothing, 0 or
            more.
        min_size (int): Smallest region in pixels.

    Returns:
        np.ndarray: Region of each pixel, (H, W), int32, numbered from 0 on in
        the order of first appearance, row by row.
    """
    edges = Edges(img, sigma)
    # The parent of each pixel; in a root, the size of its tree times -1.
    forest = np.full(img.shape[0] * img.shape[1], -1, np.int32)
    _grow(edges, forest, scale / 255.)
    _absorb(edges, forest, min_size)
    _number(forest)
    return forest.reshape(img.shape[:2])


def _grow(edges: Edges, forest: np.ndarray, scale: float) -> None:
    for top, lengths in edges:
        _join_equal(lengths, top, forest)
    # Length that each region still allows; rounded as published.
    allowed = np.empty(len(forest), np.float32)
    _allow_first(forest, scale, allowed)

    def may_grow(shortest: float) -> np.ndarray:
        _flatten(forest)
        # An array, as older numpys would round a scalar to float32.
        return allowed > np.array([shortest])

    for sorted_edges in in_ranges(edges, forest, may_grow, 2):
        _grow_over(*sorted_edges, forest, allowed, scale)


def _absorb(edges: Edges, forest: np.ndarray, min_size: int) -> None:
    exact = len(forest) <= EXACT_TIES
    grown = forest.copy() if exact else None

    def is_small(_: float) -> np.ndarray:
        _flatten(forest)
        return forest > -min_size

    for sorted_edges in in_ranges(edges, forest, is_small, 1):
        if _absorb_over(*sorted_edges, forest, min_size, exact):
            forest[:] = grown
            _absorb_as_numpy_sorts(edges, forest, min_size)
            return


def _absorb_as_numpy_sorts(edges: Edges, forest: np.ndarray,
                           min_size: int) -> None:
    """Take all edges in the order in which scikit-image does."""
    height, width = edges.height, edges.width
    shapes = ((height, width - 1), (height - 1, width),
              (height - 1, width - 1), (height - 1, width - 1))
    ends = np.cumsum([0] + [rows * columns for rows, columns in shapes])
    everything = np.empty(ends[-1])
    for top, lengths in edges:
        for direction, (rows, columns) in enumerate(shapes):
            part = everything[ends[direction]:ends[direction + 1]].reshape(
                rows, columns)[top:top + len(lengths)]
            part[:] = lengths[:len(part), direction, :columns]
    _absorb_all(np.argsort(everything), ends, width, forest, min_size)


@compiled
def _find(forest, pixel):
    pixel = np.int32(pixel)
    while True:
        parent = forest[pixel]
        if parent < 0:
            return pixel
        above = forest[parent]
        if above < 0:
            return parent
        forest[pixel] = above
        pixel = above


@compiled
def _join(forest, first, second):
    if forest[first] > forest[second]:
        first, second = second, first
    forest[first] += forest[second]
    forest[second] = first
    return first


@compiled
def _flatten(forest):
    for pixel in range(len(forest)):
        root = _find(forest, pixel)
        if root != pixel:
            forest[pixel] = root


@compiled
def _offsets(direction, width):
    """Steps from a pixel to the two ends of its edge."""
    if direction == 0:
        return 0, 1
    if direction == 1:
        return 0, width
    if direction == 2:
        return 0, width + 1
    return 1, width


@compiled
def _join_equal(lengths, top, forest):
    """Join over edges of no length, which every region allows."""
    height, _, width = lengths.shape
    for y in range(height):
        for direction in range(4):
            start, end = _offsets(direction, width)
            pixel = (top + y) * width
            for x in range(width):
                if lengths[y, direction, x] == 0:
                    one = _find(forest, pixel + x + start)
                    two = _find(forest, pixel + x + end)
                    if one != two:
                        _join(forest, one, two)


@compiled
def _allow_first(forest, scale, allowed):
    for pixel in range(len(forest)):
        allowed[pixel] = -scale / forest[pixel]


@compiled
def _grow_over(ones, twos, lengths, forest, allowed, scale):
    for i in range(len(lengths)):
        one, two = _find(forest, ones[i]), _find(forest, twos[i])
        if one != two and lengths[i] < min(allowed[one], allowed[two]):
            root = _join(forest, one, two)
            allowed[root] = lengths[i] - scale / forest[root]


@compiled
def _is_small(one, two, forest, min_size):
    return one != two and max(forest[one], forest[two]) > -min_size


@compiled
def _order_matters(ones, twos, first, last, forest, min_size):
    """Whether equally long edges join small regions in different ways."""
    pair = (np.int32(-1), np.int32(-1))
    for i in range(first, last):
        one, two = _find(forest, ones[i]), _find(forest, twos[i])
        if _is_small(one, two, forest, min_size):
            found = (min(one, two), max(one, two))
            if pair[0] >= 0 and found != pair:
                return True
            pair = found
    return False


@compiled
def _absorb_over(ones, twos, lengths, forest, min_size, stop):
    """Join small regions; tell whether it stopped where the order matters."""
    tied = 0  # how far equal lengths have been looked at
    for i in range(len(lengths)):
        if stop and i >= tied:
            while tied < len(lengths) and lengths[tied] == lengths[i]:
                tied += 1
            if tied > i + 1 and _order_matters(ones, twos, i, tied, forest,
                                               min_size):
                return True
        one, two = _find(forest, ones[i]), _find(forest, twos[i])
        if _is_small(one, two, forest, min_size):
            _join(forest, one, two)
    return False


@compiled
def _absorb_all(order, ends, width, forest, min_size):
    for edge in order:
        direction = np.searchsorted(ends, edge, side='right') - 1
        columns = width - (direction != 1)
        y, x = divmod(edge - ends[direction], columns)
        start, end = _offsets(direction, width)
        one = _find(forest, y * width + x + start)
        two = _find(forest, y * width + x + end)
        if _is_small(one, two, forest, min_size):
            _join(forest, one, two)


@compiled
def _number(forest):
    """Replace the forest by the number of each pixel's region."""
    _flatten(forest)
    num = 0
    for pixel in range(len(forest)):
        root = pixel if forest[pixel] < 0 else forest[pixel]
        if forest[root] > _NUMBERED:
            forest[root] = _NUMBERED - num
            num += 1
        if root != pixel:
            forest[pixel] = _NUMBERED - forest[root]
    for pixel in range(len(forest)):
        if forest[pixel] < 0:
            forest[pixel] = _NUMBERED - forest[pixel]
