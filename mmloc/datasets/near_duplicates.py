# Copyright (c) mmloc contributors. All rights reserved.
"""Find images of which two sets hold a copy each, also an altered one."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

import cv2
import numpy as np
import torch

from mmloc.utils.processes import map_unordered, num_cores

from .fingerprints import (
    WINDOWS,
    Fingerprints,
    compute_fingerprints,
    read_gray,
    window_matrix,
)
from .image_table import image_path
from .proposal_job import ImageNames
from .transforms.loading import UnreadableImageError

#: Least similarity after alignment of what is called a near-duplicate.
MIN_SIMILARITY = 0.5
#: Cosine similarity of fingerprints from which on pairs are looked at, the
#: most of them for an image, and from which on there is no such limit.
_CANDIDATE, _MOST, _SURE = 0.6, 10, 0.85
_SIDE = 96
#: What is coarser than a sixth of an image tells scenes apart badly.
_COARSE = _SIDE / 16
#: Least share of an image that the other must cover when both are aligned.
_MIN_COVER = 0.3
#: Tiles a side, how many must show something, and which share of the mean
#: energy of an image's tiles that is.
_TILES, _MIN_TILES, _PLAIN = 4, 3, 0.05
_QUERIES, _VECTORS = 16, 4096
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-3)


@dataclass(frozen=True)
class Pair:
    """Two images of the same picture.

    Args:
        image (str): Name in the split.
        source (str): Name in the source.
        similarity (float): See :func:`aligned_similarity`.
        mirrored (bool): Whether one shows the mirror image of the other.
    """
    image: str
    source: str
    similarity: float
    mirrored: bool

    @property
    def distance(self) -> float:
        """float: 1 - similarity, 0 for equal images."""
        return 1 - self.similarity


@dataclass
class NearDuplicates:
    """What a comparison found.

    Args:
        pairs (list[Pair]): The most similar first.
        unreadable (dict[str, str]): Path of each image that could not be
            read -> what is wrong with it.
    """
    pairs: list[Pair]
    unreadable: dict[str, str] = field(default_factory=dict)


def find_near_duplicates(source: ImageNames,
                         split: ImageNames | None = None,
                         cache_dir: str | None = None,
                         restart: bool = False,
                         min_similarity: float = MIN_SIMILARITY,
                         workers: int | None = None,
                         track: Callable | None = None) -> NearDuplicates:
    """Find near-duplicates between a source and a split, or in a source.

    First the fingerprints of all images of the source are compared with
    those of each image of the split, as it is, cut to 0.9 of its sides or
    being such a cut, and mirrored. Pairs that resemble each other are then
    read again, aligned and compared in detail.

    Args:
        source (ImageNames): Usually the many images.
        split (ImageNames, optional): Usually the few. Defaults to None,
            which compares the images of the source with each other.
        cache_dir (str, optional): Where the fingerprints of the source are
            kept, see :func:`compute_fingerprints`. Defaults to None.
        restart (bool): Whether to drop what is kept. Defaults to False.
        min_similarity (float): Least :func:`aligned_similarity` of a pair,
            above 0. Defaults to 0.5.
        workers (int, optional): Processes. Defaults to one for each core.
        track (Callable, optional): Passes items through to show progress,
            see :func:`mmloc.utils.progress.track`.

    Returns:
        NearDuplicates: The pairs; within a source each once.

    Raises:
        ValueError: An argument is out of range.
        RuntimeError: A worker was killed, or the disk is full.
    """
    if not 0 < min_similarity <= 1:
        raise ValueError(f'min_similarity is {min_similarity}, expected a '
                         'number above 0 and up to 1.')
    workers = num_cores() if workers is None else workers
    track = track or (lambda items, *_: items)
    known = compute_fingerprints(
        source, cache_dir, restart, workers=workers, track=track)
    views = compute_fingerprints(
        split or source, views=True, workers=workers, track=track)
    candidates = list(
        find_candidates(known, views, split is None, workers, track))
    check = _Check(source, split or source, min_similarity)
    groups = [list(group) for _, group in groupby(candidates, lambda c: c[0])]
    pairs = [
        pair for _, found in track(
            map_unordered(check, groups, workers), len(groups),
            'images with candidates') for pair in found
    ]
    return NearDuplicates(
        sorted(pairs, key=lambda p: (-p.similarity, p.image, p.source)), {
            image_path(name, part.images.prefix): reason
            for part in (known, views)
            for name, reason in part.unreadable.items()
        })


def find_candidates(known: Fingerprints, views: Fingerprints, within: bool,
                    workers: int,
                    track: Callable) -> Iterator[tuple[int, int, int]]:
    """Find pairs with similar fingerprints, by comparing every pair.

    Args:
        known (Fingerprints): Of the source, (N, SIZE).
        views (Fingerprints): Of the split, (M, V, SIZE).
        within (bool): Whether both are of the same images.
        workers (int): Processes.
        track (Callable): Shows progress.

    Yields:
        tuple[int, int, int]: Place in the split, place in the source and
        number of the view, in the order of the split.
    """
    jobs = range(0, len(views.vectors), _QUERIES)
    search = _Search(known.vectors, views.vectors, within)
    found = dict(
        track(map_unordered(search, jobs, workers), len(jobs), 'comparisons'))
    for job in jobs:
        yield from found[job]


@dataclass(frozen=True)
class _Search:
    """What a worker does with a few images of the split."""
    vectors: np.ndarray
    views: np.ndarray
    within: bool

    def __call__(self, first: int) -> list[tuple[int, int, int]]:
        queries = torch.from_numpy(
            self.views[first:first + _QUERIES].astype(np.float32))
        hits = [
            self.compare(queries, first, start)
            for start in range(0, len(self.vectors), _VECTORS)
        ]
        scores, image, other, view = map(np.concatenate, zip(*hits))
        order = np.lexsort((-scores, image))
        # Place of each in the order of its image, the most similar first.
        rank = np.arange(len(order)) - np.searchsorted(
            image[order], image[order])
        order = order[(rank < _MOST) | (scores[order] >= _SURE)]
        return list(zip(*(x[order].tolist() for x in (image, other, view))))

    def compare(self, queries: torch.Tensor, first: int,
                start: int) -> tuple[np.ndarray, ...]:
        vectors = torch.from_numpy(
            self.vectors[start:start + _VECTORS].astype(np.float32))
        scores = (queries.flatten(0, 1) @ vectors.T).view(
            *queries.shape[:2], len(vectors))
        best = scores.amax(1)
        hit = best >= _CANDIDATE
        if self.within:
            hit &= (torch.arange(len(queries))[:, None] + first <
                    torch.arange(len(vectors)) + start)
        image, other = hit.nonzero(as_tuple=True)
        view = scores[image, :, other].argmax(1)
        return (best[image, other].numpy(), image.numpy() + first,
                other.numpy() + start, view.numpy())


@dataclass(frozen=True)
class _Check:
    """What a worker does with the candidates of one image."""
    source: ImageNames
    split: ImageNames
    min_similarity: float

    def __call__(self, candidates: list[tuple[int, int, int]]) -> list[Pair]:
        name = self.split.names[candidates[0][0]]
        pairs = []
        for _, place, view in candidates:
            other = self.source.names[place]
            try:
                similarity = aligned_similarity(
                    read_gray(image_path(name, self.split.prefix)),
                    read_gray(image_path(other, self.source.prefix)), view)
            except UnreadableImageError:
                continue  # it was readable before: moved, or a disk gone
            if similarity >= self.min_similarity:
                pairs.append(
                    Pair(name, other, round(similarity, 3),
                         view >= len(WINDOWS)))
        return pairs


def aligned_similarity(image: np.ndarray, other: np.ndarray,
                       view: int = 0) -> float:
    """Align two images and compare them in detail.

    They are brought to 96 x 96 pixels and aligned by an affine map that
    maximises their correlation (Evangelidis and Psarakis, PAMI 2008,
    OpenCV's ``findTransformECC``). The similarity is the median of the
    correlations in 4 x 4 tiles, of what is finer than a sixth of the image:
    neither brightness nor contrast matters, a sky above a meadow is no copy
    of another one, and a caption or a logo neither makes nor hides a copy.

    Args:
        image (np.ndarray): (H, W), uint8.
        other (np.ndarray): (H, W), uint8.
        view (int): Number of the view of the first image, in the order of
            :func:`view_fingerprints`, that resembles the second; the
            alignment starts from it. Defaults to 0.

    Returns:
        float: 1 for equal images, about 0 for unrelated ones; 0 where they
        overlap in too little to tell.
    """
    mirrored, window = divmod(view, len(WINDOWS))
    image, other = (
        cv2.resize(x, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        for x in (image, other))
    image = cv2.flip(image, 1) if mirrored else image
    start = window_matrix(WINDOWS[window], _SIDE)
    try:
        _, matrix = cv2.findTransformECC(other, image, start.copy(),
                                         cv2.MOTION_AFFINE, _STEPS, None, 3)
    except cv2.error:  # it found nothing better
        matrix = start
    image, inside = (
        cv2.warpAffine(
            x, matrix, (_SIDE, _SIDE), flags=way | cv2.WARP_INVERSE_MAP)
        for x, way in ((image.astype(np.float32), cv2.INTER_LINEAR),
                       (np.ones_like(image, np.float32), cv2.INTER_NEAREST)))
    if inside.mean() < _MIN_COVER:
        return 0.
    image, other = (
        _fine(x, inside) for x in (image, other.astype(np.float32)))
    return _median_correlation(image, other, inside)


def _median_correlation(image: np.ndarray, other: np.ndarray,
                        inside: np.ndarray) -> float:
    """Correlate tile by tile, without tiles that show nothing in either."""
    image, other, inside = map(_tiles, (image, other, inside))
    energy = np.stack([(x**2).sum(1) for x in (image, other)])
    shows = (energy > _PLAIN * energy.mean(1, keepdims=True)).any(0)
    shows &= inside.mean(1) > 0.5
    if shows.sum() < _MIN_TILES:
        return 0.
    tiles = (image * other).sum(1) / np.sqrt(energy.prod(0) + 1e-6)
    return float(np.median(tiles[shows]))


def _tiles(image: np.ndarray) -> np.ndarray:
    """Cut (_SIDE, _SIDE) into (_TILES**2, pixels)."""
    side = _SIDE // _TILES
    return image.reshape(_TILES, side, _TILES, side).swapaxes(
        1, 2).reshape(_TILES**2, -1)


def _fine(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Take the coarse structure away, heeding only what is inside."""
    image = image * inside
    coarse, weight = (
        cv2.GaussianBlur(x, (0, 0), _COARSE) for x in (image, inside))
    return (image - coarse / np.maximum(weight, 1e-6)) * inside
