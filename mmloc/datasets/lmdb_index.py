# Copyright (c) mmloc contributors. All rights reserved.
import os
import os.path as osp

import numpy as np

from .archive_index import ArchiveIndex, data_file
from .index_cache import file_stamp
from .packed_names import encode

#: The LMDBs that are open, by their real paths, as LMDB allows each to be
#: open once in a process; with the process and the stamp of the file.
_OPEN_LMDBS: dict = {}


class LmdbIndex(ArchiveIndex):
    """The values of an LMDB by their keys.

    Keys that begin with two underscores, such as ``__len__``, hold no image.
    """

    scheme = 'lmdb'

    def _members(self) -> tuple[dict[bytes, int], np.ndarray]:
        with self._environment().begin() as transaction:
            keys = [
                key for key in transaction.cursor().iternext(values=False)
                if not key.startswith(b'__')
            ]
        # Without places: LMDB finds its values itself.
        return dict(zip(keys, range(len(keys)))), np.zeros((len(keys), 0),
                                                           np.int64)

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
