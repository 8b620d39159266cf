# Copyright (c) mmloc contributors. All rights reserved.
"""Files that are either whole or not there."""
import errno
import os
import os.path as osp
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: str, overwrite: bool = False, mode: str = 'wb',
                 durable: bool = True) -> Iterator[IO]:
    """Open a file that appears under its name only when it is complete.

    It is written under a temporary name in the same folder, flushed to the
    disk and renamed, so that neither a crash nor, if it is durable, a power
    cut leaves half a file, and a reader of an older version keeps it until
    the end.

    Args:
        path (str): Where the file shall be; its folder is made if missing.
        overwrite (bool): Whether a file that is there is replaced. Defaults
            to False.
        mode (str): 'wb' or 'w' (UTF-8). Defaults to 'wb'.
        durable (bool): Whether to wait for the disk, so that the file
            outlives a power cut; after one it may hold anything otherwise.
            Defaults to True.

    Yields:
        IO: The open file; it may be sought.

    Raises:
        ValueError: There is a file and ``overwrite`` is not given, or a
            folder.
        RuntimeError: The disk is full.
    """
    refuse_existing(path, overwrite)
    folder = osp.dirname(osp.abspath(path))
    os.makedirs(folder, exist_ok=True)
    temporary = osp.join(
        folder, f'.{osp.basename(path)}.{secrets.token_hex(4)}.tmp')
    encoding = None if 'b' in mode else 'utf-8'
    try:
        # Not tempfile: its files are readable by their owner only.
        with full_disk_named(path), open(
                temporary, mode.replace('w', 'x'), encoding=encoding) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        refuse_existing(path, overwrite)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_folder(folder)


@contextmanager
def full_disk_named(path: str) -> Iterator[None]:
    """Say which file a disk has no room for, which the system does not.

    Args:
        path (str): What is written.

    Raises:
        RuntimeError: In place of the system's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RuntimeError(
            f'Cannot write {path!r} ({error.strerror}): make room on its '
            'disk and run it again.') from error


def sync_folder(folder: str) -> None:
    """Put on the disk what has been renamed in a folder.

    Args:
        folder (str): The folder.
    """
    # Some network file systems cannot open a folder, and have no need to.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refuse_existing(path: str, overwrite: bool = False) -> None:
    """Raise before work is done that could not be stored.

    Args:
        path (str): Where a file shall be written.
        overwrite (bool): Whether a file that is there may be replaced.

    Raises:
        ValueError: There is a file and ``overwrite`` is not given, or a
            folder.
    """
    if osp.isdir(path):
        raise ValueError(
            f'{path!r} is a folder, but a file shall be written: give a file '
            'name.')
    if osp.exists(path) and not overwrite:
        raise ValueError(
            f'{path!r} is there already and is not replaced unasked: give '
            'another name, or ask for it to be overwritten.')
