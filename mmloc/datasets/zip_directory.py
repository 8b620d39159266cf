# Copyright (c) mmloc contributors. All rights reserved.
"""The central directory of a zip, read as one block of bytes.

:mod:`zipfile` makes an object of about 900 bytes of each member. Here only
the names become objects; the numbers stay arrays.
"""
import struct
from array import array
from collections.abc import Callable
from itertools import compress

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .archive_index import UnusualArchiveError

_ENTRY = np.dtype([
    ('signature', 'S4'), ('made_by', '<u2'), ('needed', 'u1'),
    ('reserved', 'u1'), ('flags', '<u2'), ('method', '<u2'), ('time', '<u4'),
    ('crc', '<u4'), ('packed_size', '<u4'), ('size', '<u4'),
    ('name_length', '<u2'), ('extra_length', '<u2'), ('comment_length', '<u2'),
    ('disk', '<u2'), ('attributes', 'V6'), ('offset', '<u4')
])  # yapf: disable
_LENGTHS = struct.Struct('<28xHHH12x')
_END = struct.Struct('<4s8xLLH')
_END_64 = struct.Struct('<4s36xQQ')
_LOCATOR_64 = struct.Struct('<4sLQL')
_MAX_COMMENT = 2**16
#: Of the parts of the standard that a member needs, what zipfile knows.
_MAX_NEEDED = 63
_UTF_8 = 0x800  # of the flags
#: Extra fields: the numbers that do not fit, and another name.
_ZIP_64, _UNICODE_NAME = 1, 0x7075
_IN_EXTRA = 2**32 - 1


def read_directory(pread: Callable[[int, int], bytes], length: int
                   ) -> tuple[dict[bytes, int], np.ndarray]:
    """Find the members of a zip, folders left out.

    What is found is what :mod:`zipfile` finds, in zips with comments, with
    bytes before them and in the format for more than 4 GiB, too. Names of
    another kind, and all damaged zips, are left to :mod:`zipfile`.

    Args:
        pread (callable): Told a number of bytes and an offset, reads the zip.
        length (int): Of the zip in bytes.

    Returns:
        tuple[dict[bytes, int], np.ndarray]: Row of each name, of members with
        equal names that of the last one, and by rows (M, 5), int64: offset of
        the header, packed size, CRC-32, method and flags.

    Raises:
        UnusualArchiveError: It cannot be said what is in the zip.
    """
    start, size, shift = _find_directory(pread, length)
    data = pread(size, start)
    starts = _entry_starts(data, size)
    ends, places = _read_numbers(np.frombuffer(data, np.uint8), starts)
    places[:, 0] += shift
    return _read_names(data, starts + _ENTRY.itemsize, ends,
                       places[:, 4]), places


def _find_directory(pread: Callable[[int, int], bytes], length: int
                    ) -> tuple[int, int, int]:
    """Where the directory lies, its size, and what offsets are less by."""
    tail_start = max(length - _END.size - _MAX_COMMENT, 0)
    tail = pread(length - tail_start, tail_start)
    at = len(tail) - _END.size
    if at < 0 or tail[at:at + 4] != b'PK\5\6' or tail[-2:] != b'\0\0':
        at = tail.rfind(b'PK\5\6')
    if not 0 <= at <= len(tail) - _END.size:
        raise UnusualArchiveError
    _, size, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    before = end - _LOCATOR_64.size - _END_64.size
    ends = pread(end - before, before) if before >= 0 else b''
    if ends[_END_64.size:-_LOCATOR_64.size + 4] == b'PK\6\7':
        _, disk, place, disks = _LOCATOR_64.unpack_from(ends, _END_64.size)
        signature, size, offset = _END_64.unpack_from(ends)
        if disk or disks > 1 or signature != b'PK\6\6' or (
                place != offset + size):
            raise UnusualArchiveError
        end = before
    if size > end or offset > length:
        raise UnusualArchiveError
    return end - size, size, end - size - offset


def _entry_starts(data: bytes, size: int) -> np.ndarray:
    starts, start = array('q'), 0
    lengths_at = _LENGTHS.unpack_from
    try:
        while start < size:
            starts.append(start)
            name, extra, comment = lengths_at(data, start)
            start += _ENTRY.itemsize + name + extra + comment
    except struct.error as error:  # it is longer than the data
        raise UnusualArchiveError from error
    if start != size or len(data) != size:
        raise UnusualArchiveError
    return np.frombuffer(starts, np.int64)


def _read_numbers(data: np.ndarray, starts: np.ndarray
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Where names end, and the places without the shift."""
    if not len(starts):
        return starts, np.zeros((0, 5), np.int64)
    entries = sliding_window_view(data, _ENTRY.itemsize)[starts].view(
        _ENTRY)[:, 0]
    if (entries['signature'] != b'PK\1\2').any() or (
            entries['needed'] > _MAX_NEEDED).any():
        raise UnusualArchiveError
    columns = ('offset', 'packed_size', 'crc', 'method', 'flags')
    places = np.stack([entries[name].astype(np.int64) for name in columns], 1)
    ends = starts + _ENTRY.itemsize + entries['name_length']
    _read_extras(data, ends, ends + entries['extra_length'], entries['size'],
                 places)
    return ends, places


def _read_extras(data: np.ndarray, starts: np.ndarray, ends: np.ndarray,
                 sizes: np.ndarray, places: np.ndarray) -> None:
    """Complete the places by what extra fields say.

    Args:
        data (np.ndarray): uint8, the directory.
        starts (np.ndarray): (M, ), where the extra fields of a member begin.
        ends (np.ndarray): (M, ), where they end.
        sizes (np.ndarray): (M, ), of the unpacked members.
        places (np.ndarray): (M, 5), as above; changed in place.
    """
    done = np.zeros(len(starts), bool)
    rows = np.flatnonzero(ends - starts >= 4)
    at = starts[rows]
    while len(rows):
        kinds, lengths = (_numbers(data, at + i, '<u2') for i in (0, 2))
        after = at + 4 + lengths
        large = kinds == _ZIP_64
        if (after > ends[rows]).any() or (kinds == _UNICODE_NAME).any() or (
                done[rows[large]].any()):
            raise UnusualArchiveError
        done[rows[large]] = True
        _read_zip64(data, at[large] + 4, after[large], rows[large], sizes,
                    places)
        more = ends[rows] - after >= 4
        rows, at = rows[more], after[more]


def _read_zip64(data: np.ndarray, at: np.ndarray, ends: np.ndarray,
                rows: np.ndarray, sizes: np.ndarray,
                places: np.ndarray) -> None:
    # In this order are those there that did not fit.
    for numbers in (sizes, places[:, 1], places[:, 0]):
        there = numbers[rows] == _IN_EXTRA
        if (at[there] + 8 > ends[there]).any():
            raise UnusualArchiveError
        if numbers is not sizes:
            values = _numbers(data, at[there], '<i8')
            if (values < 0).any():
                raise UnusualArchiveError
            numbers[rows[there]] = values
        at = at + 8 * there


def _numbers(data: np.ndarray, at: np.ndarray, kind: str) -> np.ndarray:
    width = np.dtype(kind).itemsize
    if not len(at):
        return np.zeros(0, np.int64)
    return sliding_window_view(data, width)[at].view(kind)[:, 0].astype(
        np.int64)


def _read_names(data: bytes, starts: np.ndarray, ends: np.ndarray,
                flags: np.ndarray) -> dict[bytes, int]:
    names = [
        data[start:end] for start, end in zip(starts.tolist(), ends.tolist())
    ]
    text = b''.join(names)
    if b'\0' in text:  # zipfile takes it for the end of the name
        raise UnusualArchiveError
    if not text.isascii():
        encodings = np.where(flags & _UTF_8, 'utf-8', 'cp437')
        names = map(_recode, names, encodings.tolist())
    # Names of folders end with a slash.
    is_file = (starts == ends) | (
        np.frombuffer(data, np.uint8)[ends - 1] != ord('/'))
    return dict(zip(compress(names, is_file),
                    np.flatnonzero(is_file).tolist()))


def _recode(name: bytes, encoding: str) -> bytes:
    try:
        return name.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise UnusualArchiveError from error
