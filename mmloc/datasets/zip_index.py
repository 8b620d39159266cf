# Copyright (c) mmloc contributors. All rights reserved.
import struct
import zipfile
import zlib
from contextlib import suppress

import numpy as np

from .archive_index import ArchiveIndex, UnusualArchiveError
from .zip_directory import read_directory

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # bit of a member's flags
#: To how many bytes a member may unpack: deflate packs up to 1000 to one.
_MAX_BYTES = 2**31


class ZipIndex(ArchiveIndex):
    """The members of a zip, stored or deflated."""

    scheme = 'zip'

    def _members(self) -> tuple[dict[bytes, int], np.ndarray]:
        with suppress(UnusualArchiveError):
            return read_directory(self._pread, self._length)
        try:
            with zipfile.ZipFile(self.path) as file:
                members = [
                    member for member in file.infolist()
                    if not member.filename.endswith('/')
                ]
            places = [(m.header_offset, m.compress_size, m.CRC,
                       m.compress_type, m.flag_bits) for m in members]
            rows = {m.filename.encode(): row for row, m in enumerate(members)}
            return rows, np.array(places, np.int64).reshape(-1, 5)
        except (zipfile.BadZipFile, struct.error, ValueError, OverflowError,
                MemoryError, NotImplementedError) as error:
            raise ValueError(f'{self.path!r} cannot be read as a zip '
                             f'({error}), expected a complete, usual '
                             '.zip.') from error

    def _read(self, name: str, place: list[int]) -> bytes:
        offset, size, crc, method, flags = place
        if flags & _ENCRYPTED or method not in _METHODS:
            raise ValueError(
                f'The member {name!r} of {self.path!r} is encrypted or '
                f'compressed by method {method}, expected it to be stored or '
                'deflated; pack the zip again.')
        data = None
        with suppress(struct.error, zlib.error):
            # Its header repeats the name; only there the lengths are right.
            lengths = struct.unpack('<26xHH', self._pread(30, offset))
            data = self._pread(size, offset + 30 + sum(lengths))
            if method == zipfile.ZIP_DEFLATED:
                data = self._inflate(name, data)
        if data is None or zlib.crc32(data) != crc:
            raise self._damaged(name)
        return data

    def _inflate(self, name: str, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        data = unpacker.decompress(data, _MAX_BYTES)
        if unpacker.unconsumed_tail:
            raise ValueError(
                f'The member {name!r} of {self.path!r} unpacks to more than '
                f'{_MAX_BYTES} bytes, which no image needs; pack the zip '
                'again without it.')
        return data
