# Copyright (c) mmloc contributors. All rights reserved.
"""Arrays that took long to make, kept on disk and mapped into memory."""
import hashlib
import json
import logging
import os
import os.path as osp
import secrets
import time
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from mmengine.logging import print_log

from mmloc.utils.files import atomic_write

#: Counts up whenever what is stored, or how it is made, changes.
_VERSION = 3
#: Shorter lists are read faster than they are found.
MIN_ROWS = 50000
#: What changed so shortly before it was read, in ns, may change again without
#: another time of change.
_SETTLED = 2 * 10**9
#: Arrays that others took the place of may be mapped by a training, perhaps
#: through a network file system, where removing them would kill it.
_KEPT_SECONDS = 30 * 86400


class IndexCache:
    """The arrays that describe one source, on disk.

    They lie in ``image_lists`` of the folder that the environment variable
    ``MMLOC_CACHE`` names, by default ``mmloc`` in ``$XDG_CACHE_HOME`` or
    ``~/.cache``, which may be deleted at any time. All processes of a machine
    share what they map from it.

    Args:
        kind (str): What the arrays say, such as ``'folder'``.
        source (str): Path of what they describe.
    """

    def __init__(self, kind: str, source: str) -> None:
        text = json.dumps([_VERSION, kind, osp.abspath(source)])
        digest = hashlib.blake2b(text.encode('utf-8', 'surrogateescape'),
                                 digest_size=12).hexdigest()
        root = os.environ.get('MMLOC_CACHE') or osp.join(
            os.environ.get('XDG_CACHE_HOME') or '~/.cache', 'mmloc')
        self._folder = osp.join(osp.expanduser(root), 'image_lists')
        self._start = osp.join(self._folder, digest)
        self._settled = time.time_ns() - _SETTLED

    def load(self, is_current: Callable[[list[list]], bool]
             ) -> dict[str, np.ndarray] | None:
        """Map the arrays, if they are there and still true.

        Args:
            is_current (callable): Told the stamp given to :meth:`save`, says
                whether the source has not changed since.

        Returns:
            dict[str, np.ndarray], optional: The arrays, None if they have to
            be made.
        """
        # Another process may replace them at this moment.
        with suppress(OSError, ValueError, KeyError, EOFError):
            with open(f'{self._start}.json', encoding='utf-8') as file:
                content = json.load(file)
            if is_current(content['stamp']):
                return {
                    name: _map(f'{self._start}-{content["token"]}-{name}.npy',
                               checksum)
                    for name, checksum in content['checksums'].items()
                }
        return None

    def save(self, stamp: list[list], arrays: dict[str, np.ndarray],
             min_rows: int | None = None) -> None:
        """Keep arrays that are worth it.

        A source that has changed just before it was read is not settled, and
        not kept. Of the ranks of a machine the first one saves.

        Args:
            stamp (list[list]): What tells whether the source has changed: a
                row for each file and folder, its name and then its
                :func:`file_stamp`, taken before it was read.
            arrays (dict[str, np.ndarray]): The arrays by name; ``ends`` has
                a row for each image.
            min_rows (int, optional): How many rows are worth it. Defaults to
                None, for ``MIN_ROWS``.
        """
        if (len(arrays['ends']) < (MIN_ROWS if min_rows is None else min_rows)
                or max(row[2] for row in stamp) > self._settled
                or os.environ.get('LOCAL_RANK', '0') != '0'
                or self.load(stamp.__eq__) is not None):
            return
        token = secrets.token_hex(4)
        try:
            if self._folder.startswith('~'):
                raise RuntimeError('this user has no home')
            # Without waits for the disk, of which hundreds of shards take
            # seconds: what a power cut damages has another checksum.
            for name, array in arrays.items():
                with atomic_write(f'{self._start}-{token}-{name}.npy',
                                  durable=False) as file:
                    np.save(file, array)
            # Last: it makes the others count.
            with atomic_write(f'{self._start}.json', True, 'w',
                              durable=False) as file:
                json.dump(
                    dict(stamp=stamp, token=token,
                         checksums={name: _checksum(array)
                                    for name, array in arrays.items()}), file)
            self._remove(lambda path: token not in path and time.time(
            ) - os.stat(path).st_mtime > _KEPT_SECONDS)
        except (OSError, RuntimeError) as error:
            self._remove(lambda path: token in path)
            print_log(
                f'The list of images is made anew at each start, because it '
                f'cannot be kept in {self._folder!r} ({error}); let '
                'MMLOC_CACHE name a folder that can be written to.',
                logger='current',
                level=logging.WARNING)

    def _remove(self, is_needless: Callable[[str], bool]) -> None:
        start = osp.basename(self._start) + '-'
        with suppress(OSError):
            for name in os.listdir(self._folder):
                path = osp.join(self._folder, name)
                with suppress(OSError):
                    if name.startswith(start) and is_needless(path):
                        os.unlink(path)


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array))


def _map(path: str, checksum: int) -> np.ndarray:
    array = np.load(path, mmap_mode='r')
    if _checksum(array) != checksum:
        raise ValueError(f'{path!r} is damaged.')
    with suppress(OSError):
        os.utime(path)  # it is in use: see _KEPT_SECONDS
    return array


def to_pickle(array: np.ndarray | None) -> np.ndarray | str | None:
    """Replace an array that is mapped from a file by the file's path.

    Spawned workers then map it as well, in place of getting a copy, which
    they get only if the file has been deleted.

    Args:
        array (np.ndarray, optional): Any array.

    Returns:
        np.ndarray or str, optional: For :func:`from_pickle`.
    """
    if isinstance(array, np.memmap):
        return array.filename if osp.exists(array.filename) else array.copy()
    return array


def from_pickle(state: np.ndarray | str | None) -> np.ndarray | None:
    """Undo :func:`to_pickle`."""
    mapped = isinstance(state, (str, os.PathLike))
    return np.load(state, mmap_mode='r') if mapped else state


def file_stamp(path: str) -> list[int]:
    """Tell versions of a file or a folder from each other.

    Copying and unpacking tools set the time of modification to an older one,
    so that a set of the same names and sizes may have the same. The time of
    change is the system's own, and the number another file's.

    Args:
        path (str): The file or folder.

    Returns:
        list[int]: Times of modification and of change in ns, size in bytes,
        number of the file.
    """
    status = os.stat(path)
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size,
            status.st_ino]
