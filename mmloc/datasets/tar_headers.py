# Copyright (c) mmloc contributors. All rights reserved.
"""The headers of tars as they are usually written, read at once.

:mod:`tarfile` makes an object with some twenty attributes of each member.
Here headers are only stepped through; what makes them valid is looked at in
thousands together.
"""
import re
from array import array
from collections.abc import Callable

import cv2
import numpy as np

from .archive_index import UnusualArchiveError

#: Headers take one block, and contents are filled up to whole ones.
BLOCK = 512
_ZEROS = bytes(BLOCK)
#: How much is read at once: not more pages than one mostly.
_WINDOW = 8 * BLOCK
#: Kinds of headers. Those of the second row are about the next one.
_FILES, _LINK, _OTHERS = b'07', ord('1'), b'\x00123456'
_EXTENSIONS, _PAX, _LONG_NAME = b'xLK', ord('x'), ord('L')
#: How many headers are looked at together.
_BATCH = 8192
#: Longer ones than GNU tar and PAX writers make are for :mod:`tarfile`.
_MAX_EXTENSION = 2**16
_RECORD = re.compile(rb'([1-9][0-9]{0,5}) ([^=\n\0]+)=([^\n]*)\n')
#: Records that say nothing here, in all lengths that they have.
_TIMES = re.compile('(?:{})*'.format('|'.join(
    f'{length} [acm]time=[0-9.]{{{length - 10}}}\n'
    for length in range(11, 40))).encode())
_KEYWORDS = {b'path', b'linkpath', b'size'}
#: Of the numbers of a header, put behind each other: mode, user, group, size,
#: time and checksum, from byte 100 on, and those of devices, from 329 on.
_ENDS = np.array([8, 16, 24, 36, 48, 56, 64, 72]) - 1
#: Those of users are binary in large companies.
_MAY_BE_BINARY = [(0, 8), (8, 16), (16, 24), (36, 48), (56, 64), (64, 72)]


def read_headers(pread: Callable[[int, int], bytes], length: int
                 ) -> tuple[dict[bytes, int], np.ndarray]:
    """Find the files in a tar of a usual kind.

    These are the formats v7, ustar, GNU and PAX with long names, links,
    folders and devices. Sparse files, PAX headers that count for all members,
    sizes from 8 GiB on, headers in an unusual order or by unusual programs,
    and all damaged archives are left to :mod:`tarfile`. What is found here is
    what :mod:`tarfile` finds, where a later member replaces an earlier one.

    Args:
        pread (callable): Told a number of bytes and an offset, reads the tar.
        length (int): Of the tar in bytes.

    Returns:
        tuple[dict[bytes, int], np.ndarray]: Row of each name, and by rows
        (M, 2), int64, offset and size of the contents.

    Raises:
        UnusualArchiveError: The tar is not of these kinds.
    """
    rows, places, headers = {}, array('q'), []
    extension, offset = {}, 0
    extending, extending_size = b'', 0
    window, start = b'', 0
    while offset <= length - BLOCK:
        at = offset - start
        if not 0 <= at <= len(window) - BLOCK:
            window, start, at = pread(_WINDOW, offset), offset, 0
            if len(window) < BLOCK:
                _give_up()
        header = window[at:at + BLOCK]
        if header == _ZEROS:
            break
        offset += BLOCK
        kind = header[156]
        if header == extending:  # Python's of PAX are mostly the same
            size = extending_size
        else:
            headers.append(header)
            if len(headers) == _BATCH:
                _check(headers)
                headers.clear()
            # It may still be wrong, even negative, until _check has seen it.
            try:
                size = int(header[124:135], 8)
            except ValueError:
                _give_up()
        if kind in _EXTENSIONS:
            extending, extending_size = header, size
            if size > _MAX_EXTENSION:
                _give_up()
            offset += size + -size % BLOCK
            data = window[at + BLOCK:offset - start]
            if offset - start > len(window):
                data = pread(size + -size % BLOCK, start + at + BLOCK)
            _extend(extension, kind, data, size)
            continue
        name = header[:100].partition(b'\0')[0]
        is_file = kind in _FILES or (not kind and name[-1:] != b'/')
        if not is_file and kind not in _OTHERS:
            _give_up()
        if header[345]:
            name = header[345:500].partition(b'\0')[0] + b'/' + name
        target = header[157:257].partition(b'\0')[0] if kind == _LINK else b''
        if extension:
            name = extension.get(b'path', name)
            target = extension.get(b'linkpath', target)
            size = extension.get(b'size', size)
            extension.clear()
        name = name.removeprefix(b'./')
        if is_file:
            rows[name] = len(places) >> 1
            places.append(offset)
            places.append(size)
            offset += size + -size % BLOCK
        elif kind == _LINK:
            row = rows.get(target.removeprefix(b'./'))
            if row is not None:
                rows[name] = row
    else:
        if offset != length or not length:
            _give_up()
    if extension:
        _give_up()
    _check(headers)
    return rows, np.frombuffer(places, np.int64).reshape(-1, 2)


def _give_up() -> None:
    raise UnusualArchiveError


def _extend(extension: dict, kind: int, data: bytes, size: int) -> None:
    """Note what the contents of a header say of the next member."""
    data, filling = data[:size], data[size:]
    # Older versions of tarfile look at the filling, too.
    if len(data) != size or filling != _ZEROS[:-size % BLOCK]:
        _give_up()
    if kind == _PAX:
        # Which of two counts depends on their order.
        if extension:
            _give_up()
        extension[_PAX] = True
        if not _TIMES.fullmatch(data):
            _read_records(extension, data)
    else:
        keyword = b'path' if kind == _LONG_NAME else b'linkpath'
        if _PAX in extension or keyword in extension:
            _give_up()
        extension[keyword] = data.partition(b'\0')[0]


def _read_records(extension: dict, data: bytes) -> None:
    """Read records of PAX, ``LENGTH KEYWORD=VALUE`` and a new line."""
    # tarfile finds the latter anywhere.
    if b'GNU.' in data or b'hdrcharset' in data:
        _give_up()
    total = 0
    for length, keyword, value in _RECORD.findall(data):
        total += int(length)
        if int(length) != len(length) + len(keyword) + len(value) + 3:
            _give_up()
        if keyword in _KEYWORDS:
            extension[keyword] = value
    if total != len(data):
        _give_up()
    if b'path' in extension:
        extension[b'path'] = extension[b'path'].rstrip(b'/')
    if b'size' in extension:
        size = extension[b'size']
        if not size.isdigit() or len(size) > 18:
            _give_up()
        extension[b'size'] = int(size)


def _check(headers: list[bytes]) -> None:
    """Make sure that headers are valid and their numbers plain."""
    blocks = np.frombuffer(b''.join(headers), np.uint8).reshape(-1, BLOCK)
    if len(blocks) and not (_sums(blocks) == _checksums(blocks)).all():
        _give_up()


def _sums(blocks: np.ndarray) -> np.ndarray:
    """Sums of the bytes, those of the checksum itself taken for blanks."""
    whole, checksum = (
        cv2.reduce(part, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
        for part in (blocks, blocks[:, 148:156]))
    return whole - checksum + 8 * ord(' ')


def _checksums(blocks: np.ndarray) -> np.ndarray:
    """Read checksums, with a look at the other numbers."""
    numbers = np.concatenate([blocks[:, 100:156], blocks[:, 329:345]], 1)
    for start, end in _MAY_BE_BINARY:
        first = numbers[:, start]
        numbers[(first == 0o200) | (first == 0o377), start:end] = 0
    digits = numbers - ord('0') < 8
    blanks = (numbers == 0) | (numbers == ord(' '))
    # Blanks end a number, and no digit follows them in it.
    after_blank = blanks[:, :-1] & digits[:, 1:]
    after_blank[:, _ENDS[:-1]] = False
    if not ((digits | blanks).all() and blanks[:, _ENDS].all()
            ) or after_blank.any():
        _give_up()
    value = np.zeros(len(blocks), np.int32)
    for number, is_digit in zip(numbers[:, 48:56].T, digits[:, 48:56].T):
        value = np.where(is_digit, 8 * value + (number & 7), value)
    return value
