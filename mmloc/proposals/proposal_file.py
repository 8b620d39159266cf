# Copyright (c) mmloc contributors. All rights reserved.
"""Read a proposal file; :mod:`mmloc.proposals.file_layout` describes it."""
import json
import mmap
import os
import os.path as osp
from collections.abc import Sequence

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
    """The names of a file, decoded one at a time."""

    def __init__(self, path: str, blob: np.ndarray,
                 ends: np.ndarray) -> None:
        self._path = path
        self._blob = blob
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return decode_name(self.raw(range(len(self))[index]))

    def raw(self, index: int) -> bytes:
        first, last = self._ends[index:index + 2].tolist()
        if not first <= last <= len(self._blob):
            raise _damaged(self._path, 'the names')
        return self._blob[first:last].tobytes()


class ProposalFile:
    """Read a proposal file without loading it.

    The file is mapped into memory: opening reads the header alone, all
    processes share one copy of what they touch, and the pages are given back
    after each record, so that the memory of a process does not grow with what
    it has read. An object may be forked; pickled, it is its path.

    Args:
        path (str): A file that :func:`write_proposals` wrote.

    Attributes:
        path (str): As given.
        params (dict): How the boxes were made.
        names (Sequence[str]): The names, decoded when they are asked for.
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
        with open(self.path, 'rb') as file:
            head = file.read(HEADER_SIZE)
            size = os.fstat(file.fileno()).st_size
            num_images, self.num_boxes, table = _read_header(
                head, size, self.path)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        views = {}
        for (key, (dtype, row)), (offset, nbytes) in zip(
                SECTIONS.items(), table):
            num = nbytes // np.dtype((dtype, row)).itemsize
            views[key] = np.ndarray((num, *row), dtype, self._map, offset)
        expected = num_rows(num_images, self.num_boxes)
        if any(len(views[key]) != num for key, num in expected.items()):
            raise ValueError(
                f'{self.path!r} is damaged: its sections do not agree on '
                f'{num_images} images and {self.num_boxes} boxes; copy or '
                'generate it again.')
        self._views = views
        try:
            self.params = json.loads(views['params'].tobytes())
        except ValueError as error:
            raise _damaged(self.path, 'the parameters') from error
        if not isinstance(self.params, dict):
            raise _damaged(self.path, 'the parameters')
        self.names = _Names(self.path, views['names'], views['name_ends'])

    def __reduce__(self) -> tuple:
        return type(self), (self.path, )

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({self.path!r}: {len(self)} images, '
                f'{self.num_boxes} boxes)')

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

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
        first, last = self._views['box_ends'][index:index + 2].tolist()
        if not first <= last <= self.num_boxes:
            raise _damaged(self.path, f'the boxes of image {index}')
        width, height = self._views['sizes'][index].tolist()
        record = Proposals(self.names[index], width, height,
                           self._views['boxes'][first:last].astype('f4'))
        self._release()
        return record

    def get(self, name: str) -> Proposals:
        """The boxes of an image by its name.

        Args:
            name (str): Path relative to the root of the set.

        Returns:
            Proposals: A record of its own, which may be changed.

        Raises:
            KeyError: The file does not hold the image.
        """
        index = self._find(name)
        if index is None:
            raise KeyError(
                f'{name!r} is not among the {len(self)} images of '
                f'{self.path!r}, whose names look like '
                f'{", ".join(map(repr, self.names[:3])) or "nothing"}; '
                'names are paths relative to the root of the set that the '
                'file was made from: give the same root here, or generate '
                'the proposals of this set.')
        return self[index]

    def _find(self, name: str) -> int | None:
        raw = encode_name(name)
        hashes = self._views['hashes']
        # Of the type of the section: numpy would convert the whole of it.
        key = np.array(hash_name(raw), hashes.dtype)
        place = int(np.searchsorted(hashes, key))
        while place < len(hashes) and hashes[place] == key:
            index = int(self._views['order'][place])
            if index >= len(self):
                raise _damaged(self.path, 'the order of the names')
            if self.names.raw(index) == raw:
                return index
            place += 1
        return None

    def _release(self) -> None:
        # The pages stay in the system's cache; only this process lets go of
        # them. The kernel may map 2 MB for each number that is looked at, so
        # that without this a worker soon seems to own the whole file.
        if hasattr(mmap, 'MADV_DONTNEED'):
            self._map.madvise(mmap.MADV_DONTNEED)


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
