# Copyright (c) mmloc contributors. All rights reserved.
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from .index_cache import from_pickle, to_pickle

#: How many names become objects together.
_PART = 65536


class PackedNames(Sequence):
    """Names in two flat arrays, about 8 bytes more than their own for each.

    A million strings are a million objects of Python, and every process that
    touches one gets a copy of its page. Arrays are shared by forked workers,
    and by all processes of a machine when they are mapped from a file.

    As a sequence it holds bytes; names that are no UTF-8 are kept.

    Args:
        blob (np.ndarray): uint8, all names behind each other.
        ends (np.ndarray): (N, ), int64, where each name ends in it.
    """

    def __init__(self, blob: np.ndarray, ends: np.ndarray) -> None:
        self.blob = blob
        self.ends = ends

    @classmethod
    def pack(cls, names: Iterable[bytes]) -> 'PackedNames':
        """Pack names in their order.

        Args:
            names (Iterable[bytes]): The names.

        Returns:
            PackedNames: All of them.
        """
        names, parts, lengths = iter(names), [], [np.zeros(0, np.int64)]
        # Some at a time, as objects take three times the room.
        while part := list(islice(names, _PART)):
            parts.append(b''.join(part))
            lengths.append(np.fromiter(map(len, part), np.int64, len(part)))
        return cls(np.frombuffer(b''.join(parts), np.uint8),
                   np.cumsum(np.concatenate(lengths)))

    def __reduce__(self) -> tuple:
        return _unpickle, (to_pickle(self.blob), to_pickle(self.ends))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> bytes:
        start = self.ends[index - 1] if index else 0
        return self.blob[start:self.ends[index]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        # Faster than one by one out of an array.
        blob, start = self.blob.tobytes(), 0
        for end in self.ends.tolist():
            yield blob[start:end]
            start = end

    def find(self, name: bytes) -> int | None:
        """Look up one of *sorted* names.

        Args:
            name (bytes): The name.

        Returns:
            int, optional: Its index, None if there is no such name.
        """
        index = bisect_left(self, name)
        found = index < len(self) and self[index] == name
        return index if found else None


def _unpickle(*arrays) -> PackedNames:
    return PackedNames(*map(from_pickle, arrays))


def encode(name: str) -> bytes:
    """Turn a name of the file system into bytes, whatever it holds."""
    return name.encode(errors='surrogateescape')


def decode(name: bytes) -> str:
    """Undo :func:`encode`."""
    return name.decode(errors='surrogateescape')
