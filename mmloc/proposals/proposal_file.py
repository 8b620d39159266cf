# Copyright (c) mmloc contributors. All rights reserved.
"""Read a proposal file; :mod:`mmloc.proposals.file_layout` describes it."""
import json
import os
import os.path as osp
import weakref
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np

from .file_layout import (
    HEADER,
    HEADER_SIZE,
    MAGIC,
    SECTIONS,
    SUFFIX,
    VERSION,
    Proposals,
    checksum_of,
    decode_name,
    encode_name,
    hash_name,
    num_rows,
)


class _Names(Sequence):
    """The names of a file, read and decoded one at a time."""

    def __init__(self, num: int, raw: Callable[[int], bytes]) -> None:
        self._num = num
        self._raw = raw

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return decode_name(self._raw(range(len(self))[index]))


class ProposalFile:
    """Read a proposal file without loading it.

    Opening reads the header alone, and a look-up the few rows that it needs,
    out of the system's cache that all processes share. They are not mapped
    into memory: each of these pages, far from the others, would cost more to
    map than all of them to read, and a process would seem to own what it has
    once touched. An object may be forked; pickled, it is its path.

    Args:
        path (str): A file that :func:`write_proposals` wrote.

    Attributes:
        path (str): As given.
        params (dict): How the boxes were made.
        num_boxes (int): Boxes of all images together.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no proposal file, incomplete, damaged or of a newer
            version.

    Examples:
        >>> proposals = ProposalFile('train.mmprop')
        >>> name, width, height, boxes = proposals[0]
        >>> boxes = proposals.get('n01440764/n01440764_10026.JPEG').boxes
    """

    def __init__(self, path: str) -> None:
        self.path = os.fspath(path)
        if osp.isdir(self.path):
            raise ValueError(
                f'{self.path!r} is a folder, expected a proposal file '
                f'({SUFFIX}); name the file.')
        if not osp.isfile(self.path):
            raise FileNotFoundError(
                f'The proposal file {self.path!r} does not exist: check the '
                'path, or make it with '
                'tools/dataset_tools/generate_proposals.py.')
        self._file = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._length, self.num_boxes, table = _read_header(
            os.pread(self._file, HEADER_SIZE, 0),
            os.fstat(self._file).st_size, self.path)
        rows = {key: np.dtype(row) for key, row in SECTIONS.items()}
        #: Of each section, the type of its rows, their start and number.
        self._sections = {
            key: (row, offset, nbytes // row.itemsize)
            for (key, row), (offset, nbytes) in zip(rows.items(), table)
        }
        expected = num_rows(len(self), self.num_boxes)
        if any(self._sections[key][2] != num
               for key, num in expected.items()):
            raise ValueError(
                f'{self.path!r} is damaged: its sections do not agree on '
                f'{len(self)} images and {self.num_boxes} boxes; copy or '
                'generate it again.')
        params = self._read('params', 0, self._sections['params'][2])
        try:
            self.params = json.loads(params.tobytes())
        except ValueError as error:
            raise _damaged(self.path, 'the parameters') from error
        if not isinstance(self.params, dict):
            raise _damaged(self.path, 'the parameters')

    @property
    def names(self) -> Sequence[str]:
        """Sequence[str]: The names, decoded when they are asked for."""
        return _Names(len(self), self._raw_name)

    def __reduce__(self) -> tuple:
        return type(self), (self.path, )

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({self.path!r}: {len(self)} images, '
                f'{self.num_boxes} boxes)')

    def __len__(self) -> int:
        return self._length

    def __contains__(self, name: str) -> bool:
        return self._find(encode_name(name)) is not None

    def __getitem__(self, index: int) -> Proposals:
        """The boxes of an image by its place in the file.

        Args:
            index (int): Negative ones count from the end.

        Returns:
            Proposals: A record of its own, which may be changed.

        Raises:
            IndexError: There is no such image.
            ValueError: The file is damaged.
        """
        try:
            index = range(len(self))[index]
        except IndexError:
            raise IndexError(
                f'index {index} is out of range for the {len(self)} images '
                f'of {self.path!r}.') from None
        return self._record(index, self.names[index])

    def get(self, name: str, place: int | None = None) -> Proposals:
        """The boxes of an image by its name.

        Args:
            name (str): Path relative to the root of the set.
            place (int, optional): Where it may be, to be found without a
                search. Most sets and their files have the same order.
                Defaults to None.

        Returns:
            Proposals: A record of its own, which may be changed.

        Raises:
            KeyError: The file does not hold the image.
        """
        index = self._find(encode_name(name), place)
        if index is None:
            raise KeyError(
                f'{name!r} is not among the {len(self)} images of '
                f'{self.path!r}, whose names look like '
                f'{", ".join(map(repr, self.names[:3])) or "nothing"}; '
                'names are paths relative to the root of the set that the '
                'file was made from: give the same root here, or generate '
                'the proposals of this set.')
        return self._record(index, name)

    def _record(self, index: int, name: str) -> Proposals:
        boxes = self._read_item('boxes', 'box_ends', index)
        (width, height), = self._read('sizes', index, index + 1).tolist()
        return Proposals(name, width, height, boxes.astype('f4'))

    def _find(self, raw: bytes, place: int | None = None) -> int | None:
        if place is not None and 0 <= place < len(self) and (
                self._raw_name(place) == raw):
            return place
        key = hash_name(raw)
        rows = range(len(self))
        for place in rows[bisect_left(rows, key, key=self._hash):]:
            if self._hash(place) != key:
                break
            index = self._read('order', place, place + 1).item()
            if index >= len(self):
                raise _damaged(self.path, 'the order of the names')
            if self._raw_name(index) == raw:
                return index
        return None

    def _hash(self, place: int) -> int:
        return self._read('hashes', place, place + 1).item()

    def _raw_name(self, index: int) -> bytes:
        return self._read_item('names', 'name_ends', index).tobytes()

    def _read_item(self, key: str, ends: str, index: int) -> np.ndarray:
        """What belongs to an image in a section of items of any length."""
        first, last = self._read(ends, index, index + 2).tolist()
        if not first <= last <= self._sections[key][2]:
            raise _damaged(self.path, f'the {key} of image {index}')
        return self._read(key, first, last)

    def _read(self, key: str, first: int, last: int) -> np.ndarray:
        """Rows of a section."""
        row, offset, _ = self._sections[key]
        size = (last - first) * row.itemsize
        content = os.pread(self._file, size, offset + first * row.itemsize)
        if len(content) < size:
            raise ValueError(
                f'{self.path!r} has been cut off since it was opened, within '
                f'its {key}; copy or generate it again, then start anew.')
        return np.frombuffer(content, row)


def _damaged(path: str, what: str) -> ValueError:
    return ValueError(f'{path!r} is damaged in what it says on {what}; copy '
                      'or generate it again.')


def _read_header(head: bytes, size: int,
                 path: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Check a header; returns counts and (offset, size) of the sections."""
    if head[:len(MAGIC)] != MAGIC:
        kind = ('an empty file' if not head else
                'a json' if head.lstrip()[:1] in (b'{', b'[') else
                'no proposal file')
        raise ValueError(
            f'{path!r} is {kind}, expected a proposal file ({SUFFIX}); make '
            'one with tools/dataset_tools/generate_proposals.py, or convert '
            'a json with tools/dataset_tools/convert_proposals.py.')
    if len(head) < HEADER_SIZE:
        raise ValueError(
            f'{path!r} is incomplete: it ends within its header of '
            f'{HEADER_SIZE} bytes; copy or generate it again.')
    fields = HEADER.unpack_from(head)
    _, version, checksum, whole, num_images, num_boxes, *table = fields
    if version > VERSION:
        raise ValueError(
            f'{path!r} has version {version} of the format, but this mmloc '
            f'reads up to {VERSION}: update mmloc or generate it again.')
    if size != whole and checksum == checksum_of(fields):
        raise ValueError(
            f'{path!r} is incomplete: it holds {size} bytes, expected '
            f'{whole}; copy or generate it again.')
    table = list(zip(table[::2], table[1::2]))
    if checksum != checksum_of(fields) or any(
            offset + nbytes > size for offset, nbytes in table):
        raise ValueError(
            f'{path!r} is damaged: its header does not agree with its '
            'checksum; copy or generate it again.')
    return num_images, num_boxes, table
