# Copyright (c) mmloc contributors. All rights reserved.
"""Images straight out of a zip, named ``zip://FOLDER/FILE.zip/MEMBER``.

The paths work wherever mmengine reads a file, thus in every loading transform
of mmcv, mmdet and mmpretrain, because :class:`ZipBackend` is registered with
mmengine for the prefix ``zip://``.
"""
import os
import os.path as osp
import re
import struct
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from mmengine.fileio import BaseStorageBackend, register_backend

#: What the paths of members begin with.
ZIP_PREFIX = 'zip://'
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # bit of a member's flags
#: To how many bytes a member may unpack: deflate packs up to 1000 to one.
_MAX_BYTES = 2**31
_ZIP_SUFFIX = re.compile(r'\.zip(?=/|$)', re.IGNORECASE)


class ZipIndex(Sequence):
    """The members of a zip, as sorted names and where their bytes lie.

    ``zipfile.ZipFile`` keeps an object of about 1 kB for each member in each
    process. This index is a few flat arrays, about 100 bytes a member, which
    forked workers share; and it reads with ``os.pread``, which has no file
    position that processes could disturb for each other.

    As a sequence it holds the members' names, as bytes (UTF-8); folders are
    left out.

    Args:
        path (str): The zip.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a zip, or a damaged one.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                members = {
                    member.filename.encode(): member
                    for member in file.infolist() if not member.is_dir()
                }
        except (zipfile.BadZipFile, struct.error, UnicodeError,
                NotImplementedError) as error:
            raise ValueError(f'{path!r} cannot be read as a zip ({error}), '
                             'expected a complete, usual .zip.') from error
        names = sorted(members)
        self._names = b''.join(names)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        self._places = np.array(
            [(m.header_offset, m.compress_size, m.CRC, m.compress_type,
              m.flag_bits) for m in map(members.get, names)],
            np.int64).reshape(-1, 5)
        self._file = None

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> bytes:
        start = self._ends[index - 1] if index else 0
        return self._names[start:self._ends[index]]

    def find(self, name: str) -> int | None:
        """Look a member up.

        Args:
            name (str): Its name, as in the zip.

        Returns:
            int, optional: Its place in the sorted order, None if the zip has
            no such member.
        """
        key = name.encode(errors='surrogateescape')
        index = bisect_left(self, key)
        found = index < len(self) and self[index] == key
        return index if found else None

    def read(self, name: str) -> bytes:
        """Read a member.

        Args:
            name (str): Its name, as in the zip.

        Returns:
            bytes: Its content.

        Raises:
            FileNotFoundError: The zip has no such member.
            ValueError: The member is damaged, encrypted, compressed by
                another method than deflate, or unpacks to more than 2 GiB.
        """
        index = self.find(name)
        if index is None:
            raise FileNotFoundError(
                f'The zip {self.path!r} has no member {name!r}.')
        offset, size, crc, method, flags = self._places[index].tolist()
        if flags & _ENCRYPTED or method not in _METHODS:
            raise ValueError(
                f'The member {name!r} of {self.path!r} is encrypted or '
                f'compressed by method {method}, expected it to be stored or '
                'deflated; pack the zip again.')
        if self._file is None:
            self._file = open(self.path, 'rb', buffering=0)
        fd = self._file.fileno()
        try:
            # Its header repeats the name; only there the lengths are right.
            lengths = struct.unpack('<26xHH', os.pread(fd, 30, offset))
            data = os.pread(fd, size, offset + 30 + sum(lengths))
            if method == zipfile.ZIP_DEFLATED:
                unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
                data = unpacker.decompress(data, _MAX_BYTES)
                if unpacker.unconsumed_tail:
                    raise ValueError(
                        f'The member {name!r} of {self.path!r} unpacks to '
                        f'more than {_MAX_BYTES} bytes, which no image '
                        'needs; pack the zip again without it.')
        except (struct.error, zlib.error):
            data = None
        if data is None or zlib.crc32(data) != crc:
            raise ValueError(f'The member {name!r} of {self.path!r} is '
                             'damaged; pack the zip again.')
        return data


@register_backend('mmloc_zip', prefixes='zip', force=True)
class ZipBackend(BaseStorageBackend):
    """Reads the members of zips for ``mmengine.fileio``."""

    def get(self, filepath: str) -> bytes:
        """Read a member.

        Args:
            filepath (str): ``zip://FOLDER/FILE.zip/MEMBER``.

        Returns:
            bytes: Its content.

        Raises:
            FileNotFoundError: There is no such zip or member.
            ValueError: The zip or the member is damaged.
        """
        path, name = split_zip_path(filepath)
        return open_zip(path).read(name)

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """Read a member as text; see :meth:`get`.

        Args:
            filepath (str): ``zip://FOLDER/FILE.zip/MEMBER``.
            encoding (str): Defaults to 'utf-8'.

        Returns:
            str: Its content.
        """
        return self.get(filepath).decode(encoding)

    def isfile(self, filepath: str) -> bool:
        """Whether there is such a member.

        Args:
            filepath (str): ``zip://FOLDER/FILE.zip/MEMBER``.

        Returns:
            bool: False also if there is no such zip.
        """
        path = find_zip(filepath)
        return path is not None and open_zip(path).find(
            split_zip_path(filepath)[1]) is not None


def open_zip(path: str) -> ZipIndex:
    """Get the index of a zip, read once in each process and its forks.

    Args:
        path (str): The zip.

    Returns:
        ZipIndex: The index; read anew if the file has been replaced.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a zip, or a damaged one.
    """
    stat = os.stat(path)
    return _index(osp.abspath(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _index(path: str, mtime: int, size: int) -> ZipIndex:
    return ZipIndex(path)


def find_zip(path: str) -> str | None:
    """Find the zip that a path leads into.

    Args:
        path (str): A path, with or without ``zip://`` before it.

    Returns:
        str, optional: The part of the path up to a file that ends in .zip in
        any case, None if there is none: a *folder* may be named so.
    """
    path = path.removeprefix(ZIP_PREFIX)
    parts = (path[:match.end()] for match in _ZIP_SUFFIX.finditer(path))
    return next(filter(osp.isfile, parts), None)


def split_zip_path(path: str) -> tuple[str, str]:
    """Split ``zip://FOLDER/FILE.zip/MEMBER``.

    Args:
        path (str): Such a path.

    Returns:
        tuple[str, str]: The zip and the member's name, '' for the zip itself.

    Raises:
        FileNotFoundError: No part of the path is a zip.
    """
    file = find_zip(path)
    if file is None:
        raise FileNotFoundError(
            f'No part of the path {path!r} is a file that ends in .zip; '
            'check data_root and data_prefix.')
    return file, path.removeprefix(ZIP_PREFIX)[len(file) + 1:]
