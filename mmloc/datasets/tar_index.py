# Copyright (c) mmloc contributors. All rights reserved.
import tarfile
from contextlib import suppress

import numpy as np

from .archive_index import ArchiveIndex, UnusualArchiveError
from .packed_names import encode
from .tar_headers import BLOCK, read_headers

#: What tarfile raises for some of the damaged tars.
_DAMAGED = (tarfile.TarError, ValueError, LookupError, OverflowError,
            MemoryError, RecursionError)


class TarIndex(ArchiveIndex):
    """The files in a tar, such as a shard of WebDataset.

    A ``./`` before all names, from packing the folder ``.``, is left out. A
    hard link is the file that it leads to; symbolic links are passed over.
    """

    scheme = 'tar'

    def _members(self) -> tuple[dict[bytes, int], np.ndarray]:
        with suppress(UnusualArchiveError):
            return read_headers(self._pread, self._length)
        try:
            return self._walk()
        except _DAMAGED as error:
            raise ValueError(
                f'{self.path!r} cannot be read as a tar ({error}), expected a '
                'complete .tar that is not compressed.') from error

    def _walk(self) -> tuple[dict[bytes, int], np.ndarray]:
        rows, places, end = {}, [], 0
        # 'r:' refuses compressed tars, in which nothing can be found without
        # unpacking all that comes before it. Names are those of lists.
        with tarfile.open(self.path, 'r:', encoding='utf-8') as file:
            while (member := file.next()) is not None:
                file.members.clear()  # it would keep all of them
                if file.offset <= end:  # it would go in circles
                    raise tarfile.ReadError(f'wrong size at byte {end}')
                end = file.offset
                name = encode(member.name.removeprefix('./'))
                if member.islnk():
                    target = encode(member.linkname.removeprefix('./'))
                    if target in rows:
                        rows[name] = rows[target]
                elif member.isreg():
                    rows[name] = len(places)
                    # Of a sparse one, no place: its holes are left out.
                    places.append((-1 if member.issparse() else
                                   member.offset_data, member.size))
            # It takes a damaged header for the end.
            if any(self._pread(BLOCK, file.offset)):
                raise tarfile.ReadError(f'no header at byte {file.offset}')
        return rows, np.array(places, np.int64).reshape(-1, 2)

    def find(self, name: str) -> int | None:
        """Look a member up; see :class:`ArchiveIndex`."""
        return super().find(name.removeprefix('./'))

    def _read(self, name: str, place: list[int]) -> bytes:
        offset, size = place
        if offset < 0:
            raise ValueError(
                f'The member {name!r} of {self.path!r} is sparse; pack the '
                'archive again without --sparse.')
        data = self._pread(size, offset)
        if len(data) != size:
            raise self._damaged(name)
        return data
