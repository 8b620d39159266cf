# Copyright (c) mmloc contributors. All rights reserved.
"""Proposals on disk, computed once by whichever process comes first."""
import hashlib
import json
import os.path as osp
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np

from mmloc.utils.files import atomic_write

from .selective_search import ALGORITHM

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

#: Key of the image, number of boxes, CRC-32 of key and boxes; boxes follow.
_HEAD = struct.Struct('<16sII')


class ProposalCache:
    """Boxes by the pixels of their image.

    A folder named by the parameters holds up to 4096 files, whatever the
    number of images, each with the entries whose key begins with the same
    12 bits. An entry is 24 bytes and 16 for each box; it is appended in one
    write, and found by looking for its key.

    Any number of processes, on any number of machines, may share a folder.
    Nothing is kept in memory, so that an entry of one process is there for
    all others at once. An entry that was cut off by a kill, or damaged, does
    not agree with its checksum: it is passed over and computed again.

    Args:
        cache_dir (str): Folder of the caches of all parameters.
        params (dict): All that the boxes depend on besides the pixels.

    Raises:
        ValueError: The folder cannot be written to.

    Attributes:
        folder (str): Folder of the cache of these parameters; it may be
            deleted at any time.
    """

    def __init__(self, cache_dir: str, params: dict) -> None:
        self._text = json.dumps(
            dict(params, algorithm=ALGORITHM), sort_keys=True)
        digest = hashlib.blake2b(
            self._text.encode(), digest_size=8).hexdigest()
        self.folder = osp.join(cache_dir, digest)
        try:
            self._make_folder()
        except OSError as error:
            raise ValueError(
                f'The proposal cache {cache_dir!r} cannot be written to '
                f'({error.strerror}): name another cache_dir, or None to '
                'compute the boxes each time.') from error

    def key_of(self, img: np.ndarray) -> bytes:
        """Name an image by its pixels.

        Neither moving nor copying the images makes the cache useless, and an
        edited image is never given the boxes of the old one.

        Args:
            img (np.ndarray): (H, W, 3), uint8.

        Returns:
            bytes: 16 bytes.
        """
        digest = hashlib.blake2b(repr(img.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(img))
        return digest.digest()

    def get(self, key: bytes) -> np.ndarray | None:
        """Look up an image.

        Args:
            key (bytes): Of :meth:`key_of`.

        Returns:
            np.ndarray, optional: (n, 4), float32; None if it is not there.
        """
        path = self._path(key)
        try:
            with open(path, 'rb') as file:
                content = file.read()
        except FileNotFoundError:
            return None
        place = content.find(key)
        torn = place >= 0
        while place >= 0:
            boxes = _entry(content, place)
            if boxes is not None:
                return boxes
            place = content.find(key, place + 1)
        if torn:
            warnings.warn(f'An entry of the proposal cache {path!r} is cut '
                          'off or damaged; it is computed again.',
                          stacklevel=2)
        return None

    def put(self, key: bytes, boxes: np.ndarray) -> None:
        """Add an image.

        Args:
            key (bytes): Of :meth:`key_of`.
            boxes (np.ndarray): (n, 4), float32.

        Raises:
            RuntimeError: The cache cannot be written.
        """
        content = np.asarray(boxes, '<f4').tobytes()
        entry = _HEAD.pack(key, len(boxes), zlib.crc32(key + content))
        try:
            try:
                self._append(key, entry + content)
            except FileNotFoundError:  # deleted meanwhile
                self._make_folder()
                self._append(key, entry + content)
        except OSError as error:
            raise RuntimeError(
                f'The proposal cache {self.folder!r} cannot be written '
                f'({error.strerror}): make room there, name another '
                'cache_dir, or None to compute the boxes each time.'
            ) from error

    def _make_folder(self) -> None:
        path = osp.join(self.folder, 'params.json')
        with atomic_write(path, True, 'w') as file:
            file.write(self._text + '\n')

    def _append(self, key: bytes, entry: bytes) -> None:
        with open(self._path(key), 'ab', buffering=0) as file:
            # Appending is atomic on a local disk; network file systems
            # need the lock. Where there is none, checksums tell.
            with suppress(OSError, AttributeError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.write(entry)

    def _path(self, key: bytes) -> str:
        return osp.join(self.folder, key.hex()[:3])


def _entry(content: bytes, place: int) -> np.ndarray | None:
    """Boxes of the entry at a place, None if it is not whole."""
    start = place + _HEAD.size
    if start > len(content):
        return None
    key, num, checksum = _HEAD.unpack_from(content, place)
    boxes = content[start:start + 16 * num]
    if len(boxes) < 16 * num or zlib.crc32(key + boxes) != checksum:
        return None
    return np.frombuffer(boxes, '<f4').reshape(-1, 4).copy()
