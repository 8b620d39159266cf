# Copyright (c) mmloc contributors. All rights reserved.
"""The edges between neighbouring pixels of an image, the shortest first.

They are sorted a range of lengths at a time, which bounds the memory, and
only those that can still matter: by the time that their range comes, most lie
within a region, or at one that allows no edge as long as these any more.
"""
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mmloc.utils.compiled import compiled, read_only

from .edge_weights import edge_weights, gaussian_weights

#: Number of pixels whose edges are measured at a time.
_STRIP = 2**18
#: Number of edges that are sorted at a time, or 2 per pixel if that is less.
_ROOM = 2**21
_LEAST_ROOM = 2**16
_FINITE = np.finfo(np.float64).max


class Edges:
    """Lengths of edges in strips of rows; a single strip is kept.

    Args:
        img (np.ndarray): Image, (H, W, 3), uint8.
        sigma (float): Standard deviation in pixels of the smoothing.
    """

    def __init__(self, img: np.ndarray, sigma: float) -> None:
        self.img = read_only(img)
        self.height, self.width = img.shape[:2]
        self.weights = gaussian_weights(sigma)
        self.rows = max(_STRIP // self.width, 1)
        self.kept = None
        if self.rows >= self.height:
            self.kept = self.measure(0, self.height)

    def measure(self, top: int, rows: int) -> np.ndarray:
        """Lengths of the edges from some rows, (rows, 4, W)."""
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


def in_ranges(edges: Edges, forest: np.ndarray,
              choose: Callable[[float], np.ndarray],
              num_chosen: int) -> Iterator[tuple]:
    """Yield the edges that matter, one range of lengths after the other.

    Args:
        edges (Edges): All edges.
        forest (np.ndarray): The root of the region of each pixel, less than
            0 for the root itself, when ``choose`` returns.
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
