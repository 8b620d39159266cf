# Copyright (c) mmloc contributors. All rights reserved.
"""Where the members of zips, tars and LMDBs lie."""
import os
import os.path as osp
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from .index_cache import IndexCache, file_stamp
from .packed_names import PackedNames, encode

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # bit of a member's flags
#: Each worker needs the index, and a tar has to be walked through for it.
_MIN_ROWS = 1000
_TAR_BLOCK = 512
#: The LMDBs that are open, by their real paths, as LMDB allows each to be
#: open once in a process; with the process and the stamp of the file.
_OPEN_LMDBS: dict = {}
#: To how many bytes a member may unpack: deflate packs up to 1000 to one.
_MAX_BYTES = 2**31


# As many as a process may well have open; there may be more shards.
@lru_cache(maxsize=512)
def _opened(path: str, *stamp: int) -> BinaryIO:
    return open(path, 'rb', buffering=0)


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
        stamp = [[*self._version]]
        arrays = cache.load(stamp.__eq__)
        if arrays is None:
            arrays = self._arrays()
            cache.save(stamp, arrays, _MIN_ROWS)
        self._names = PackedNames(arrays['names'], arrays['ends'])
        self._places = arrays['places']

    def _arrays(self) -> dict[str, np.ndarray]:
        members = dict(self._members())
        order = sorted(members)
        names = PackedNames.pack(order)
        return dict(
            ends=names.ends,
            names=names.blob,
            places=np.array([members[name] for name in order],
                            np.int64).reshape(len(order), -1))

    def _members(self) -> Iterable[tuple[bytes, tuple[int, ...]]]:
        """Names, each with what :meth:`_read` has to know."""
        raise NotImplementedError

    def _read(self, name: str, place: list[int]) -> bytes:
        """Read the member ``name``."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> bytes:
        return self._names[index]

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
        return os.pread(_opened(*self._version).fileno(), size, offset)

    def _damaged(self, name: str) -> ValueError:
        return ValueError(f'The member {name!r} of {self.path!r} is damaged; '
                          'pack the archive again.')


class ZipIndex(ArchiveIndex):
    """The members of a zip, stored or deflated."""

    scheme = 'zip'

    def _members(self) -> Iterable[tuple[bytes, tuple[int, ...]]]:
        try:
            with zipfile.ZipFile(self.path) as file:
                return [(m.filename.encode(),
                         (m.header_offset, m.compress_size, m.CRC,
                          m.compress_type, m.flag_bits))
                        for m in file.infolist() if not m.is_dir()]
        except (zipfile.BadZipFile, struct.error, UnicodeError,
                NotImplementedError) as error:
            raise ValueError(f'{self.path!r} cannot be read as a zip '
                             f'({error}), expected a complete, usual '
                             '.zip.') from error

    def _read(self, name: str, place: list[int]) -> bytes:
        offset, size, crc, method, flags = place
        if flags & _ENCRYPTED or method not in _METHODS:
            raise ValueError(
                f'The member {name!r} of {self.path!r} is encrypted or '
                f'compressed by method {method}, expected it to be stored or '
                'deflated; pack the zip again.')
        data = None
        with suppress(struct.error, zlib.error):
            # Its header repeats the name; only there the lengths are right.
            lengths = struct.unpack('<26xHH', self._pread(30, offset))
            data = self._pread(size, offset + 30 + sum(lengths))
            if method == zipfile.ZIP_DEFLATED:
                data = self._inflate(name, data)
        if data is None or zlib.crc32(data) != crc:
            raise self._damaged(name)
        return data

    def _inflate(self, name: str, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        data = unpacker.decompress(data, _MAX_BYTES)
        if unpacker.unconsumed_tail:
            raise ValueError(
                f'The member {name!r} of {self.path!r} unpacks to more than '
                f'{_MAX_BYTES} bytes, which no image needs; pack the zip '
                'again without it.')
        return data


class TarIndex(ArchiveIndex):
    """The files in a tar, such as a shard of WebDataset.

    A ``./`` before all names, from packing the folder ``.``, is left out. A
    hard link is the file that it leads to; symbolic links are passed over.
    """

    scheme = 'tar'

    def _members(self) -> Iterable[tuple[bytes, tuple[int, ...]]]:
        try:
            # 'r:' refuses compressed tars, in which nothing can be found
            # without unpacking all that comes before it.
            with tarfile.open(self.path, 'r:') as file:
                places = {}
                while (member := file.next()) is not None:
                    file.members.clear()  # it would keep all of them
                    name = encode(member.name.removeprefix('./'))
                    if member.islnk():
                        target = encode(member.linkname.removeprefix('./'))
                        if target in places:
                            places[name] = places[target]
                    elif member.isreg():
                        # Of a sparse one, no place: its holes are left out.
                        places[name] = (-1 if member.issparse() else
                                        member.offset_data, member.size)
                # It takes a damaged header for the end.
                if any(self._pread(_TAR_BLOCK, file.offset)):
                    raise tarfile.ReadError(
                        f'no header at byte {file.offset}')
                return places.items()
        except tarfile.TarError as error:
            raise ValueError(
                f'{self.path!r} cannot be read as a tar ({error}), expected a '
                'complete .tar that is not compressed.') from error

    def find(self, name: str) -> int | None:
        """Look a member up; see :class:`ArchiveIndex`."""
        return super().find(name.removeprefix('./'))

    def _read(self, name: str, place: list[int]) -> bytes:
        offset, size = place
        if offset < 0:
            raise ValueError(
                f'The member {name!r} of {self.path!r} is sparse; pack the '
                'archive again without --sparse.')
        data = self._pread(size, offset)
        if len(data) != size:
            raise self._damaged(name)
        return data


class LmdbIndex(ArchiveIndex):
    """The values of an LMDB by their keys.

    Keys that begin with two underscores, such as ``__len__``, hold no image.
    """

    scheme = 'lmdb'

    def _members(self) -> Iterable[tuple[bytes, tuple[int, ...]]]:
        with self._environment().begin() as transaction:
            # Without a place: LMDB finds its values itself.
            return [(key, ()) for key in transaction.cursor().iternext(
                values=False) if not key.startswith(b'__')]

    def _environment(self):
        try:
            import lmdb
        except ImportError as error:
            raise RuntimeError(
                f'{self.path!r} is an LMDB, and the package lmdb, which reads '
                'it, is not installed; pip install lmdb.') from error
        path = osp.realpath(self.path)
        # An environment must not be used across a fork.
        key = [os.getpid(), *file_stamp(data_file(path))]
        former, env = _OPEN_LMDBS.pop(path, (None, None))
        if former != key:
            if env is not None:
                env.close()
            try:
                # Without locks a read-only file system will do.
                env = lmdb.open(path, subdir=osp.isdir(path), readonly=True,
                                lock=False, readahead=False)
            except lmdb.Error as error:
                raise ValueError(f'{self.path!r} cannot be read as an LMDB '
                                 f'({error}).') from error
        _OPEN_LMDBS[path] = key, env
        return env

    def _read(self, name: str, place: list[int]) -> bytes:
        with self._environment().begin() as transaction:
            data = transaction.get(encode(name))
        if data is None:
            raise self._damaged(name)
        return data


def data_file(path: str) -> str:
    """The file whose time of change is that of an archive.

    Args:
        path (str): The archive, perhaps the folder of an LMDB.

    Returns:
        str: Path of a file.
    """
    return osp.join(path, 'data.mdb') if osp.isdir(path) else path


#: The kinds of archives by their suffixes.
ARCHIVES = {'.zip': ZipIndex, '.tar': TarIndex, '.lmdb': LmdbIndex}


