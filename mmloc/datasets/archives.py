# Copyright (c) mmloc contributors. All rights reserved.
"""Images straight out of an archive: ``zip://FOLDER/FILE.zip/MEMBER``.

Zips (``zip://``), tars (``tar://``, the shards of WebDataset among them) and
LMDBs (``lmdb://``) are read. The paths work wherever mmengine reads a file,
thus in every loading transform of mmcv, mmdet and mmpretrain, because
:class:`ArchiveBackend` is registered with mmengine for these prefixes.
"""
import glob
import os.path as osp
import re
from functools import cache

from mmengine.fileio import BaseStorageBackend, register_backend

from .archive_index import ArchiveIndex, data_file
from .index_cache import file_stamp
from .lmdb_index import LmdbIndex
from .tar_index import TarIndex
from .zip_index import ZipIndex

#: The kinds of archives by their suffixes.
ARCHIVES = {'.zip': ZipIndex, '.tar': TarIndex, '.lmdb': LmdbIndex}
_SUFFIX = re.compile(
    '(' + '|'.join(map(re.escape, ARCHIVES)) + ')(?=/|$)', re.IGNORECASE)
_SCHEME = re.compile(
    '(?:' + '|'.join(kind.scheme for kind in ARCHIVES.values()) + ')://')
_RANGE = re.compile(r'\{(\d+)\.\.(\d+)\}')


@register_backend('mmloc_archive', prefixes=('zip', 'tar', 'lmdb'), force=True)
class ArchiveBackend(BaseStorageBackend):
    """Reads the members of archives for ``mmengine.fileio``."""

    def get(self, filepath: str) -> bytes:
        """Read a member.

        Args:
            filepath (str): ``zip://FOLDER/FILE.zip/MEMBER``.

        Returns:
            bytes: Its content.

        Raises:
            FileNotFoundError: There is no such archive or member.
            ValueError: The archive or the member is damaged.
        """
        path, name = split_archive_path(filepath)
        return open_archive(path).read(name)

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
            bool: False also if there is no such archive.
        """
        path = find_archive(filepath)
        return path is not None and open_archive(path).find(
            split_archive_path(filepath)[1]) is not None


def open_archive(path: str) -> ArchiveIndex:
    """Get the index of an archive, read once in each process and its forks.

    Args:
        path (str): The archive.

    Returns:
        ArchiveIndex: The index; read anew if the file has been replaced.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or not what its suffix says.
    """
    return _index(osp.abspath(path), *file_stamp(data_file(path)))


@cache
def _index(path: str, *stamp: int) -> ArchiveIndex:
    return _kind(path)(path)


def _kind(path: str) -> type[ArchiveIndex]:
    return ARCHIVES[osp.splitext(path)[1].lower()]


def find_archive(path: str) -> str | None:
    """Find the archive that a path leads into.

    Args:
        path (str): A path, with or without ``zip://`` before it.

    Returns:
        str, optional: The part of the path up to a file that ends in .zip,
        .tar or .lmdb in any case, or to an LMDB's folder; None if there is
        none: a *folder* may be named so.
    """
    path = strip_scheme(path)
    parts = (path[:match.end()] for match in _SUFFIX.finditer(path))
    return next(filter(_is_archive, parts), None)


def _is_archive(path: str) -> bool:
    if osp.isdir(path):
        return _kind(path) is LmdbIndex and osp.isfile(
            osp.join(path, 'data.mdb'))
    return osp.isfile(path)


def split_archive_path(path: str) -> tuple[str, str]:
    """Split ``zip://FOLDER/FILE.zip/MEMBER``.

    Args:
        path (str): Such a path.

    Returns:
        tuple[str, str]: The archive and the member's name, '' for the archive
        itself.

    Raises:
        FileNotFoundError: No part of the path is an archive.
    """
    file = find_archive(path)
    if file is None:
        raise FileNotFoundError(
            f'No part of the path {path!r} is a file that ends in '
            f'{" or ".join(ARCHIVES)}; check data_root and data_prefix.')
    return file, strip_scheme(path)[len(file) + 1:]


def has_scheme(path: str) -> bool:
    """Whether a path leads into an archive, by its beginning."""
    return _SCHEME.match(path) is not None


def strip_scheme(path: str) -> str:
    """Take ``zip://``, ``tar://`` or ``lmdb://`` off a path."""
    return _SCHEME.sub('', path, count=1)


def scheme_of(path: str) -> str | None:
    """What stands before ``://`` for the archives of a suffix.

    Args:
        path (str): Path of an archive.

    Returns:
        str, optional: ``'zip'``, ``'tar'`` or ``'lmdb'``, None for a path
        with another suffix.
    """
    kind = ARCHIVES.get(osp.splitext(path)[1].lower())
    return kind and kind.scheme


def is_pattern(path: str) -> bool:
    """Whether a path names several archives, ``train-{000..146}.tar``."""
    return (_SUFFIX.search(path[-5:]) is not None
            and (glob.has_magic(path) or _RANGE.search(path) is not None)
            and not osp.exists(path))


def expand_pattern(pattern: str) -> list[str]:
    """List the archives of a pattern.

    Args:
        pattern (str): A path with ``{000..146}`` or the wildcards of
            :mod:`glob`; all of one kind.

    Returns:
        list[str]: Sorted paths.

    Raises:
        FileNotFoundError: An archive of a range is missing, or none matches.
    """
    match = _RANGE.search(pattern)
    if match:
        first, last = match.groups()
        paths = [
            pattern[:match.start()] + f'{i:0{len(first)}d}' +
            pattern[match.end():] for i in range(int(first), int(last) + 1)
        ]
        missing = [path for path in paths if not _is_archive(path)]
        if missing or not paths:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(paths)} archives of {pattern!r} '
                f'do not exist, the first being {(missing or [None])[0]!r}; '
                'check data_root and the range.')
        return paths
    paths = sorted(filter(_is_archive, glob.glob(pattern)))
    if not paths:
        raise FileNotFoundError(f'No file matches {pattern!r}; check '
                                'data_root and the wildcards.')
    return paths
