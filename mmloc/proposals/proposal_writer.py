# Copyright (c) mmloc contributors. All rights reserved.
"""Write a proposal file; :mod:`mmloc.proposals.file_layout` describes it."""
import json
from array import array
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import IO

import numpy as np

from mmloc.utils.files import atomic_write

from .file_layout import (
    ALIGN,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    SECTIONS,
    VERSION,
    Proposals,
    checksum_of,
    decode_name,
    encode_name,
    hash_name,
)

#: A box may leave its image by so many pixels; it is stored as it is.
TOLERANCE = 1.0


def write_proposals(path: str,
                    records: Iterable[Proposals],
                    params: dict,
                    overwrite: bool = False) -> int:
    """Write the boxes of a set of images.

    Boxes go to the disk as they come; the memory needed is that of the names
    and about 60 bytes an image. The same records and parameters give the
    same bytes. The file appears only when it is complete.

    Args:
        path (str): The file, by custom ``*.mmprop``.
        records (Iterable[Proposals]): The images, in the order they shall
            have; plain tuples of the same four values do as well.
        params (dict): How the boxes were made, as JSON can store it.
        overwrite (bool): Whether to replace a file. Defaults to False.

    Returns:
        int: Number of images written.

    Raises:
        ValueError: A record or ``params`` is not valid, two records have the
            same name, or there is a file and ``overwrite`` is not given.
        RuntimeError: The disk is full.
    """
    try:
        blob = json.dumps(params, sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'the params of {path!r} are {params!r}, which JSON cannot store '
            f'({error}); give finite numbers, texts, lists and dicts of '
            'Python.') from error
    with atomic_write(path, overwrite) as file:
        return _write(file, records, blob, path)


def _write(file: IO[bytes], records: Iterable[Proposals], params: bytes,
           path: str) -> int:
    """Fill a file that is open for writing and can be sought."""
    file.write(bytes(HEADER_SIZE))
    table = [_write_section(file, params)]
    offset = _pad(file)
    names = bytearray()
    box_ends, name_ends, sizes, hashes = (
        array('Q', [0]), array('Q', [0]), array('I'), array('Q'))
    for record in records:
        name, width, height, boxes = _checked(*record)
        raw = encode_name(name)
        names += raw
        name_ends.append(len(names))
        hashes.append(hash_name(raw))
        sizes.extend((width, height))
        file.write(boxes.tobytes())
        box_ends.append(box_ends[-1] + len(boxes))
    table.append((offset, file.tell() - offset))
    keys = np.asarray(hashes)
    order = np.argsort(keys, kind='stable')
    _refuse_duplicates(keys, order, names, name_ends, path)
    rest = (box_ends, sizes, names, name_ends,
            keys[order], order)
    for (dtype, _), values in zip(list(SECTIONS.values())[2:], rest):
        content = (
            values if values is names else
            np.asarray(values, dtype).tobytes())
        table.append(_write_section(file, content))
    header = [
        MAGIC, VERSION, 0,
        file.tell(),
        len(hashes), box_ends[-1], *(n for row in table for n in row)
    ]
    header[2] = checksum_of(header)
    file.seek(0)
    file.write(HEADER.pack(*header))
    return len(hashes)


def _pad(file: IO[bytes]) -> int:
    file.write(bytes(-file.tell() % ALIGN))
    return file.tell()


def _write_section(file: IO[bytes], content: bytes) -> tuple[int, int]:
    """Append a section; returns its offset and size."""
    offset = _pad(file)
    file.write(content)
    return offset, len(content)


def _checked(name: str, width: int, height: int,
             boxes: np.ndarray) -> Proposals:
    """A record in the types of the file, or what is wrong with it."""
    if not isinstance(name, str) or not name:
        raise ValueError(f'the name of an image is {name!r}, expected a path '
                         'relative to the root of the set.')
    if not all(isinstance(side, Integral) and 1 <= side < 2**32
               for side in (width, height)):
        raise ValueError(f'the image {name!r} has a size of {width} x '
                         f'{height} pixels, expected whole numbers, at '
                         'least 1 x 1.')
    boxes = np.asarray(boxes, '<f4')
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'the boxes of the image {name!r} have the shape '
                         f'{boxes.shape}, expected (n, 4).')
    low, high = boxes[:, :2], boxes[:, 2:]
    for good, what in (
        (np.isfinite(boxes), 'is not finite'),
        (high >= low, 'ends before it begins (x2 < x1 or y2 < y1)'),
        (low >= -TOLERANCE, 'begins outside of the image'),
        (high <= np.array((width, height)) + TOLERANCE,
         'ends outside of the image')):
        if not good.all():
            worst = int(np.argmin(good.all(axis=1)))
            raise ValueError(
                f'box {worst} of the image {name!r} ({width} x {height} '
                f'pixels), {boxes[worst].tolist()}, {what}; expected x1, y1, '
                'x2, y2 in pixels of this image.')
    return Proposals(name, int(width), int(height), boxes)


def _refuse_duplicates(hashes: np.ndarray, order: np.ndarray,
                       names: bytearray, ends: Sequence[int],
                       path: str) -> None:
    """Compare the names behind equal hashes, which stand side by side."""
    keys = hashes[order]
    starts = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    lengths = np.diff(starts, append=len(keys))
    for start, length in zip(starts[lengths > 1], lengths[lengths > 1]):
        seen = set()
        for i in order[start:start + length]:
            raw = bytes(names[ends[i]:ends[i + 1]])
            if raw in seen:
                raise ValueError(
                    f'two records have the name {decode_name(raw)!r}, so '
                    f'{path!r} is not written: names must be unique.')
            seen.add(raw)
