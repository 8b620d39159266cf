# Copyright (c) mmloc contributors. All rights reserved.
"""Felzenszwalb's segmentation, with the labels of scikit-image.

Every pixel starts as a region of its own. Over all edges between neighbouring
pixels, the shortest first, two regions become one if the edge is shorter than
both allow. Then those that stayed too small join their nearest neighbours,
again over the shortest edges first.

Edges are sorted a range of lengths at a time, which bounds the memory, and
only those that can still matter: by the time that their range comes, most lie
within a region, or at one that allows no edge as long as these any more.

What grows does not depend on the order of equally long edges: of a region
that allows an edge of some length, all that it becomes over edges of that
length does so too. Where small regions go does depend on it. scikit-image
follows numpy's sort, which is not stable and differs between CPUs; we do the
same in images of up to ``EXACT_TIES`` pixels whenever it can matter. In
larger ones all edges at once would take too much memory: there, those of the
pixels further up and then further left come first.
"""
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from .compiled import compiled, read_only
from .edge_weights import edge_weights, gaussian_weights

#: Largest image, in pixels, of which edges of equal length are taken in the
#: order that numpy's sort puts them in.
EXACT_TIES = 2**21
#: Number of pixels whose edges are measured at a time.
_STRIP = 2**18
#: Number of edges that are sorted at a time, or 2 per pixel if that is less.
_ROOM = 2**21
_LEAST_ROOM = 2**16
#: What says that a root has a number, 0 here and falling: no size of a tree.
_NUMBERED = -2**30
_FINITE = np.finfo(np.float64).max


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
    edges = _Edges(img, sigma)
    # The parent of each pixel; in a root, the size of its tree times -1.
    forest = np.full(img.shape[0] * img.shape[1], -1, np.int32)
    _grow(edges, forest, scale / 255.)
    _absorb(edges, forest, min_size)
    _number(forest)
    return forest.reshape(img.shape[:2])


class _Edges:
    """Lengths of edges in strips of rows; a single strip is kept."""

    def __init__(self, img: np.ndarray, sigma: float) -> None:
        self.img = read_only(img)
        self.height, self.width = img.shape[:2]
        self.weights = gaussian_weights(sigma)
        self.rows = max(_STRIP // self.width, 1)
        self.kept = None
        if self.rows >= self.height:
            self.kept = self.measure(0, self.height)

    def measure(self, top: int, rows: int) -> np.ndarray:
        bottom = min(top + rows, self.height)
        return edge_weights(self.img, top, bottom, self.weights)

    def __iter__(self) -> Iterator[tuple]:
        if self.kept is not None:
            yield 0, self.kept
            return
        for top in range(0, self.height, self.rows):
            yield top, self.measure(top, self.rows)

    def sample(self, room: int) -> tuple:
        """Rows from all over the image, and which share of all they are."""
        num = min(24 + self.height // 64, room // (4 * self.width))
        step = self.height // max(num, 1) + 1
        tops = range(step // 2, self.height, step) if num else ()
        rows = [(top, self.measure(top, 1) if self.kept is None else
                 self.kept[top:top + 1]) for top in tops]
        return rows, len(rows) / self.height


def _grow(edges: _Edges, forest: np.ndarray, scale: float) -> None:
    for top, lengths in edges:
        _join_equal(lengths, top, forest)
    # Length that each region still allows; rounded as published.
    allowed = np.empty(len(forest), np.float32)
    _allow_first(forest, scale, allowed)

    def may_grow(shortest: float) -> np.ndarray:
        # An array, as older numpys would round a scalar to float32.
        return allowed > np.array([shortest])

    for sorted_edges in _in_ranges(edges, forest, may_grow, 2):
        _grow_over(*sorted_edges, forest, allowed, scale)


def _absorb(edges: _Edges, forest: np.ndarray, min_size: int) -> None:
    exact = len(forest) <= EXACT_TIES
    grown = forest.copy() if exact else None

    def is_small(_: float) -> np.ndarray:
        return forest > -min_size

    for sorted_edges in _in_ranges(edges, forest, is_small, 1):
        if _absorb_over(*sorted_edges, forest, min_size, exact):
            forest[:] = grown
            _absorb_as_numpy_sorts(edges, forest, min_size)
            return


def _absorb_as_numpy_sorts(edges: _Edges, forest: np.ndarray,
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


def _in_ranges(edges: _Edges, forest: np.ndarray,
               choose: Callable[[float], np.ndarray],
               num_chosen: int) -> Iterator[tuple]:
    """Yield the edges that matter, one range of lengths after the other.

    Args:
        edges (_Edges): All edges.
        forest (np.ndarray): Regions, which the caller merges.
        choose (Callable): Which pixels, if they are roots, are roots of
            regions that matter, given the shortest length to come.
        num_chosen (int): How many ends of an edge have to lie in such
            regions.

    Yields:
        tuple[np.ndarray]: The roots at both ends of each edge, int32, and its
        length, float64; the shortest first, of equally long ones the first
        in the image.
    """
    num_pixels = len(forest)
    room = max(min(_ROOM, 2 * num_pixels), _LEAST_ROOM)
    found, in_order = _buffers(room), _buffers(room)
    rows, share = edges.sample(room)
    shortest = longest = 0.
    while longest < _FINITE:
        _flatten(forest)
        matters = (forest, choose(shortest), num_chosen, shortest)
        num = _collect(rows, *matters, _FINITE, found)
        longest = _FINITE
        if num > 0.9 * room * share:
            some = int(min(0.9 * room, 1.3 * num_pixels) * share)
            longest = np.partition(found[2][:num], some)[some]
        num = _collect(edges, *matters, longest, found)
        while num > room and shortest < longest:
            longest = min(np.nextafter(longest, 0), _median(found[2][:room]))
            num = _collect(edges, *matters, longest, found)
        # If too many are equally long, the others follow in the next round,
        # for which those that have been looked at do not matter any more.
        last = min(num, room)
        yield _sorted(*(values[:last] for values in (*found, *in_order)))
        if longest < _FINITE:
            shortest = longest if num > room else np.nextafter(longest, np.inf)


def _median(values: np.ndarray) -> float:
    return np.partition(values, len(values) // 2)[len(values) // 2]


def _buffers(room: int) -> tuple:
    """Room for the two regions that edges are between, and their lengths;
    the last place is for those that there is no room for."""
    return (np.empty(room + 1, np.int32), np.empty(room + 1, np.int32),
            np.empty(room + 1))


def _collect(strips: Iterable[tuple], forest: np.ndarray, chosen: np.ndarray,
             num_chosen: int, shortest: float, longest: float,
             found: tuple) -> int:
    """Collect the edges that matter between two lengths, both included."""
    num = 0
    for top, measured in strips:
        num = _collect_from(measured, top, forest, chosen, num_chosen,
                            shortest, longest, found, num)
    return num


def _sorted(ones: np.ndarray, twos: np.ndarray, lengths: np.ndarray,
            *in_order: np.ndarray) -> tuple:
    """Sort edges by length into other arrays; equal ones keep their order.

    Lengths with their last bits replaced by the positions need no argsort,
    which is four times slower. What those bits decide is put right after.
    """
    mask = (1 << len(lengths).bit_length()) - 1
    order = lengths.view(np.int64) & ~mask
    order |= np.arange(len(lengths))
    order.sort()
    order &= mask
    for values, target in zip((ones, twos, lengths), in_order):
        np.take(values, order, out=target, mode='clip')
    first, last = _settle(*in_order, ~mask, 0)
    while first < last:
        order = first + np.argsort(in_order[2][first:last], kind='stable')
        for values in in_order:
            values[first:last] = values[order]
        first, last = _settle(*in_order, ~mask, last)
    return in_order


@compiled
def _settle(ones, twos, lengths, mask, first):
    """Sort what bits outside of the mask decide, up to the next long run.

    Returns where that run begins and ends, twice the end if there is none.
    """
    bits = lengths.view(np.int64)
    while first < len(lengths):
        last = first + 1
        is_sorted = True
        while last < len(lengths) and not (bits[first] ^ bits[last]) & mask:
            is_sorted &= lengths[last - 1] <= lengths[last]
            last += 1
        if not is_sorted and last - first > 64:
            return first, last
        if not is_sorted:
            _sort_few(ones, twos, lengths, first, last)
        first = last
    return first, first


@compiled
def _sort_few(ones, twos, lengths, first, last):
    for i in range(first + 1, last):
        one, two, length = ones[i], twos[i], lengths[i]
        while i > first and lengths[i - 1] > length:
            ones[i], twos[i] = ones[i - 1], twos[i - 1]
            lengths[i] = lengths[i - 1]
            i -= 1
        ones[i], twos[i], lengths[i] = one, two, length


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
def _roots_of_row(forest, chosen, pixel, roots, counted):
    for x in range(len(roots)):
        parent = forest[pixel + x]
        roots[x] = pixel + x if parent < 0 else parent
        counted[x] = chosen[roots[x]]


@compiled
def _collect_from(measured, top, forest, chosen, num_chosen, shortest,
                  longest, found, num):
    """Note edges after the first ``num``; if there is no room, count on."""
    height, _, width = measured.shape
    roots = np.empty((2, width), np.int32)
    counted = np.empty((2, width), np.uint8)
    for y in range(height):
        pixel = (top + y) * width
        _roots_of_row(forest, chosen, pixel, roots[0], counted[0])
        num = _append(measured[y, 0], roots[0], roots[0, 1:], counted[0],
                      counted[0, 1:], num_chosen, shortest, longest, found,
                      num)
        if pixel + width == len(forest):
            continue
        _roots_of_row(forest, chosen, pixel + width, roots[1], counted[1])
        for direction, one, two in ((1, 0, 0), (2, 0, 1), (3, 1, 0)):
            num = _append(measured[y, direction], roots[0, one:],
                          roots[1, two:], counted[0, one:], counted[1, two:],
                          num_chosen, shortest, longest, found, num)
    return num


@compiled
def _append(measured, roots_1, roots_2, counted_1, counted_2, num_chosen,
            shortest, longest, found, num):
    ones, twos, lengths = found
    room = len(lengths) - 1
    for x in range(min(len(roots_1), len(roots_2))):
        # Without branches, which nobody could predict.
        i = min(num, room)
        ones[i] = roots_1[x]
        twos[i] = roots_2[x]
        lengths[i] = measured[x]
        num += ((roots_1[x] != roots_2[x]) & (shortest <= measured[x])
                & (measured[x] <= longest)
                & (counted_1[x] + counted_2[x] >= num_chosen))
    return num


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
