# Copyright (c) mmloc contributors. All rights reserved.
"""Short descriptions of images by which copies are found again."""
import hashlib
import os
import os.path as osp
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from mmloc.utils.journal import Journal
from mmloc.utils.processes import map_unordered, num_cores

from .image_table import image_path
from .proposal_job import ImageNames
from .transforms.loading import LoadImage, UnreadableImageError

#: Changed with whatever changes the numbers, for caches keep them.
ALGORITHM = 'dct8x8-1'
#: Numbers in a fingerprint.
SIZE = 63
#: Parts (left, top, right, bottom) of an image, in shares of it, that another
#: one may be a cut of, or that may be a cut of another one.
WHOLE = (0., 0., 1., 1.)
_THUMBNAIL, _SIDE = 64, 32
_BORDER = _THUMBNAIL // 4
_FREQUENCY = np.hypot(*np.mgrid[:8, :8]).astype(np.float32)
_FOUND, _UNREADABLE = 1, 2
_IMAGES_A_JOB = 32
#: Grey levels by which the pixels of a bar, noise of JPEG included, differ.
_BAR = 16


def _windows() -> list[tuple]:
    """The whole, windows of 0.9 in the middle and at the corners, and the
    larger ones of which the image is such a window."""
    starts = [(.05, .05), (0, 0), (.1, 0), (0, .1), (.1, .1)]
    inner = [(x, y, x + .9, y + .9) for x, y in starts]
    outer = [(-x / .9, -y / .9, (1 - x) / .9, (1 - y) / .9) for x, y in starts]
    return [WHOLE, *inner, *outer]


WINDOWS = _windows()


@dataclass
class Fingerprints:
    """Fingerprints of a source.

    Args:
        images (ImageNames): The source.
        vectors (np.ndarray): (N, SIZE) or (N, V, SIZE), float16, of length 1;
            zeros for an image that is all of one colour or unreadable.
        unreadable (dict[str, str]): Name of each image that could not be
            read -> what is wrong with it.
    """
    images: ImageNames
    vectors: np.ndarray
    unreadable: dict[str, str] = field(default_factory=dict)


def fingerprint(gray: np.ndarray) -> np.ndarray:
    """Describe an image by its coarse structure.

    It is the discrete cosine transform of the image at 32 x 32 pixels, of
    which the 8 x 8 lowest frequencies are kept, as in the perceptual hash
    pHash, but as numbers in place of their signs. Each is multiplied by its
    frequency, for in photographs the amplitude falls like its inverse. The
    product of two fingerprints is their cosine similarity, 1 for images that
    differ in brightness, contrast, size or aspect ratio alone.

    Args:
        gray (np.ndarray): (H, W), uint8.

    Returns:
        np.ndarray: (SIZE, ), float32, of length 1 or all zeros.
    """
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small.astype(np.float32))[:8, :8] * _FREQUENCY
    vector = waves.ravel()[1:]  # the first is the mean
    length = np.linalg.norm(vector)
    # A single grey level of the 1024 pixels can make no more.
    return vector / length if length > 1 else np.zeros(SIZE, np.float32)


def view_fingerprints(gray: np.ndarray) -> np.ndarray:
    """Describe an image as it is and as it might have been cut or mirrored.

    Args:
        gray (np.ndarray): (H, W), uint8.

    Returns:
        np.ndarray: (2 * len(WINDOWS), SIZE), float32: one fingerprint for
        each of :data:`WINDOWS`, then those of the mirror image. What lies
        outside of the image is its reflection.
    """
    thumbnail = cv2.resize(
        gray, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    vectors = []
    for image in (thumbnail, cv2.flip(thumbnail, 1)):
        image = cv2.copyMakeBorder(
            image, *[_BORDER] * 4, cv2.BORDER_REFLECT_101)
        for window in WINDOWS:
            matrix = window_matrix(window, _THUMBNAIL)
            matrix[:, 2] += _BORDER
            view = cv2.warpAffine(
                image, matrix, (_THUMBNAIL, _THUMBNAIL),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            vectors.append(fingerprint(view))
    return np.stack(vectors)


def window_matrix(window: tuple, side: int) -> np.ndarray:
    """Map the pixels of a window, enlarged to a square, into its image.

    Args:
        window (tuple[float]): One of :data:`WINDOWS`.
        side (int): Pixels of the sides of image and window.

    Returns:
        np.ndarray: (2, 3), float32, as OpenCV's warps take it.
    """
    left, top, right, bottom = window
    # Pixels are areas: their centres lie half a pixel from their corners.
    wide, high = right - left, bottom - top
    shift = [left * side + (wide - 1) / 2, top * side + (high - 1) / 2]
    return np.array([[wide, 0, shift[0]], [0, high, shift[1]]], np.float32)


def read_gray(path: str) -> np.ndarray:
    """Read an image without its colours and without bars at its edges, which
    would make all images with bars alike.

    Args:
        path (str): The file; it may lead into a zip.

    Returns:
        np.ndarray: (H, W), uint8, upright.

    Raises:
        UnreadableImageError: It cannot be read.
    """
    gray = LoadImage(color_type='grayscale')(dict(img_path=path))['img']
    for axis in (0, 1):
        # One line after the other, so no bar hides those across it.
        spread = np.ptp(gray, axis=1 - axis)
        kept = np.flatnonzero(spread > _BAR)
        if len(kept):
            lines = slice(kept[0], kept[-1] + 1)
            gray = gray[lines] if axis == 0 else gray[:, lines]
    return gray


def compute_fingerprints(images: ImageNames,
                         cache_dir: str | None = None,
                         restart: bool = False,
                         views: bool = False,
                         workers: int | None = None,
                         track: Callable | None = None) -> Fingerprints:
    """Compute the fingerprints of a source, or go on with it.

    Args:
        images (ImageNames): The source.
        cache_dir (str, optional): Folder in which they are kept, 143 bytes an
            image, under the names of the images: an image that is replaced
            by another of the same name is not noticed. Defaults to None,
            which keeps nothing.
        restart (bool): Whether to drop what is kept. Defaults to False.
        views (bool): Whether to compute :func:`view_fingerprints`, which are
            not kept. Defaults to False.
        workers (int, optional): Processes. Defaults to one for each core.
        track (Callable, optional): Passes items through to show progress,
            see :func:`mmloc.utils.progress.track`.

    Returns:
        Fingerprints: What was found.

    Raises:
        ValueError: ``workers`` is below 1.
        RuntimeError: A worker was killed, another process is at work on the
            same source, or the disk is full.
    """
    workers = num_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f'workers is {workers}, expected 1 or more.')
    shape = (2 * len(WINDOWS), SIZE) if views else (SIZE, )
    result = Fingerprints(
        images, np.zeros((len(images.names), *shape), np.float16))
    describe = _Describe(images.prefix, views)
    if cache_dir is None or views:
        for item, tag, payload in _results(
                describe, images, range(len(images.names)), workers, track):
            _store(result, item, tag, payload)
        return result
    job = dict(algorithm=ALGORITHM, **images.describe())
    with Journal(cache_folder(cache_dir, job)) as journal:
        journal.begin(job, len(images.names), restart)
        # What could not be read is tried again.
        todo = np.flatnonzero(journal.tags != _FOUND).tolist()
        for record in _results(describe, images, todo, workers, track):
            journal.append(*record)
        for item, tag in enumerate(journal.tags.tolist()):
            _store(result, item, tag, journal.read(item))
    return result


def cache_folder(cache_dir: str, job: dict) -> str:
    """Name the folder of a source's fingerprints.

    Args:
        cache_dir (str): Folder of all sources.
        job (dict): What identifies the fingerprints.

    Returns:
        str: Such as ``CACHE_DIR/train2017-0123456789ab``.
    """
    digest = hashlib.sha256(repr(sorted(job.items())).encode(
        'utf-8', 'surrogateescape'))
    name = osp.basename(job['root'].rstrip(os.sep))
    return osp.join(cache_dir, f'{name}-{digest.hexdigest()[:12]}')


@dataclass(frozen=True)
class _Describe:
    """What a worker does with a few images."""
    prefix: str
    views: bool

    def __call__(self, jobs: list[tuple[int, str]]) -> list[tuple]:
        return [(item, *self.describe(name)) for item, name in jobs]

    def describe(self, name: str) -> tuple[int, bytes]:
        compute = view_fingerprints if self.views else fingerprint
        try:
            vector = compute(read_gray(image_path(name, self.prefix)))
        except UnreadableImageError as error:
            return _UNREADABLE, error.reason.encode(errors='replace')
        return _FOUND, vector.astype('<f2').tobytes()


def _results(describe: _Describe, images: ImageNames, todo: Iterable[int],
             workers: int, track: Callable | None) -> Iterator[tuple]:
    """Yield item, tag and payload. Several images a job, for handing one out
    takes a tenth of the time that an image does."""
    jobs = [(item, images.names[item]) for item in todo]
    if not jobs:
        return
    parts = (
        jobs[i:i + _IMAGES_A_JOB] for i in range(0, len(jobs), _IMAGES_A_JOB))
    records = (
        record for _, records in map_unordered(describe, parts, workers)
        for record in records)
    yield from track(records, len(jobs), 'images') if track else records


def _store(result: Fingerprints, item: int, tag: int, payload: bytes) -> None:
    if tag == _FOUND:
        vectors = np.frombuffer(payload, '<f2')
        result.vectors[item] = vectors.reshape(result.vectors.shape[1:])
    else:
        result.unreadable[result.images.names[item]] = payload.decode()
