# Copyright (c) mmloc contributors. All rights reserved.
"""Where the members of an archive lie."""
import os
import os.path as osp
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from .index_cache import IndexCache, file_stamp
from .packed_names import PackedNames, encode

#: Each worker needs the index, and a tar has to be walked through for it.
_MIN_ROWS = 1000


# As many as a process may well have open; there may be more shards.
@lru_cache(maxsize=512)
def _opened(path: str, *stamp: int) -> BinaryIO:
    return open(path, 'rb', buffering=0)


class UnusualArchiveError(ValueError):
    """An archive that the parser of the standard library has to read."""


class ArchiveIndex(Sequence):
    """The members of an archive, as sorted names and where their bytes lie.

    The classes of the standard library keep an object of about 1 kB for each
    member in each process. This index is a few flat arrays, about 100 bytes
    a member, which forked workers share. That of a large archive is kept on
    disk, see :class:`~.index_cache.IndexCache`, so that the archive is walked
    through once. Members are read with ``os.pread``, which has no file
    position that processes could disturb for each other.

    As a sequence it holds the members' names, as bytes; folders are left
    out. Of members with the same name the last one counts.

    Args:
        path (str): The archive.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or not of this kind.
    """

    #: What the paths of members begin with, before ``://``.
    scheme: str

    def __init__(self, path: str) -> None:
        self.path = path
        cache = IndexCache(self.scheme, path)
        self._version = path, *file_stamp(data_file(path))
        self._length = self._version[3]
        stamp = [[*self._version]]
        arrays = cache.load(stamp.__eq__)
        if arrays is None:
            arrays = self._arrays()
            cache.save(stamp, arrays, _MIN_ROWS)
        self._names = PackedNames(arrays['names'], arrays['ends'])
        self._places = arrays['places']

    def _arrays(self) -> dict[str, np.ndarray]:
        rows, places = self._members()
        order = sorted(rows)
        names = PackedNames.pack(order)
        return dict(
            ends=names.ends,
            names=names.blob,
            places=places[np.fromiter(map(rows.pop, order), np.int64,
                                      len(order))])

    def _members(self) -> tuple[dict[bytes, int], np.ndarray]:
        """The row of each name, and by rows what :meth:`_read` has to know."""
        raise NotImplementedError

    def _read(self, name: str, place: list[int]) -> bytes:
        """Read the member ``name``."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> bytes:
        return self._names[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._names)

    def find(self, name: str) -> int | None:
        """Look a member up.

        Args:
            name (str): Its name, as in the archive.

        Returns:
            int, optional: Its place in the sorted order, None if there is no
            such member.
        """
        return self._names.find(encode(name))

    def read(self, name: str) -> bytes:
        """Read a member.

        Args:
            name (str): Its name, as in the archive.

        Returns:
            bytes: Its content.

        Raises:
            FileNotFoundError: There is no such member.
            ValueError: The member is damaged, or of a kind that cannot be
                read.
        """
        index = self.find(name)
        if index is None:
            raise FileNotFoundError(
                f'The {self.scheme} {self.path!r} has no member {name!r}.')
        return self._read(name, self._places[index].tolist())

    def _pread(self, size: int, offset: int) -> bytes:
        """Read bytes, of those that lie outside the file none."""
        # A damaged place may name more than there is memory.
        size = min(size, self._length - offset)
        if offset < 0 or size <= 0:
            return b''
        return os.pread(_opened(*self._version).fileno(), size, offset)

    def _damaged(self, name: str) -> ValueError:
        return ValueError(f'The member {name!r} of {self.path!r} is damaged; '
                          'pack the archive again.')


def data_file(path: str) -> str:
    """The file whose time of change is that of an archive.

    Args:
        path (str): The archive, perhaps the folder of an LMDB.

    Returns:
        str: Path of a file.
    """
    return osp.join(path, 'data.mdb') if osp.isdir(path) else path
