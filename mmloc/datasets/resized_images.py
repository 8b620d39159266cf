# Copyright (c) mmloc contributors. All rights reserved.
import hashlib
import logging
import os
import tempfile

import mmcv
import numpy as np
from mmengine.logging import print_log


class ResizedImages:
    """Images at one size, kept in a file that all processes map into memory.

    A row is written when its image is first asked for, by whichever process
    that is; several may write the same row at once, and write the same. The
    space of all rows is reserved when the file is made. A row counts only if
    it was written for this name and its pixels are whole.

    Args:
        path (str): The file, made if it does not exist.
        num (int): Number of images of the set.
        size (tuple[int, int]): Width and height. Defaults to (256, 256).

    Raises:
        ValueError: The file has other numbers, or is none of this kind.
        OSError: It cannot be made, for want of space for instance.
    """

    def __init__(self,
                 path: str,
                 num: int,
                 size: tuple[int, int] = (256, 256)) -> None:
        self.path = os.path.expanduser(path)
        self.size = tuple(size)
        self._row = np.dtype([('key', 'u8'),
                              ('img', 'u1', (*self.size[::-1], 3))])
        self.num = num
        self._rows = None
        if not os.path.exists(self.path):
            self._make()
        self._open()

    def _make(self) -> None:
        """Reserve the space under another name, then put it in place."""
        nbytes = self.num * self._row.itemsize
        print_log(
            f'{self.path} will take {nbytes / 2**30:.2f} GiB: {self.num} '
            f'images of {self.size[0]} x {self.size[1]} pixels.',
            logger='current',
            level=logging.WARNING)
        folder = os.path.dirname(os.path.abspath(self.path))
        os.makedirs(folder, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=folder)
        try:
            # Without it a full disk would kill the process that writes.
            os.posix_fallocate(handle, 0, nbytes)
            # Another process may have been first; then its file stays.
            os.link(draft, self.path)
        except FileExistsError:
            pass
        finally:
            os.close(handle)
            os.unlink(draft)

    def _open(self) -> np.memmap:
        if self._rows is None:
            expected = self.num * self._row.itemsize
            found = os.path.getsize(self.path)
            if found != expected:
                raise ValueError(
                    f'{self.path!r} has {found} bytes, expected {expected} '
                    f'for {self.num} images of {self.size[0]} x '
                    f'{self.size[1]} pixels; remove it, or name another file '
                    'for these images.')
            self._rows = np.memmap(
                self.path, self._row, mode='r+', shape=(self.num, ))
        return self._rows

    def get(self, idx: int, name: str) -> np.ndarray | None:
        """Look an image up.

        Args:
            idx (int): Its place in the set.
            name (str): Its name.

        Returns:
            np.ndarray or None: (H, W, 3), not to be written to; None if it
            is not there yet.
        """
        row = self._open()[idx]
        img = np.asarray(row['img'])
        return img if row['key'] == _key(name, img) else None

    def put(self, idx: int, name: str, img: np.ndarray) -> None:
        """Keep an image.

        Args:
            idx (int): Its place in the set.
            name (str): Its name.
            img (np.ndarray): uint8 (H, W, 3), of any size.
        """
        row = self._open()[idx]
        row['img'] = img = mmcv.imresize(img, self.size)
        row['key'] = _key(name, img)

    def __getstate__(self) -> dict:
        # A memory map would be pickled with all that it maps.
        return dict(vars(self), _rows=None)


def _key(name: str, img: np.ndarray) -> int:
    """Stand for a name and, by one byte in 61, for the pixels: a computer
    that fails may have written the key and not all pages of the pixels."""
    digest = hashlib.blake2b(name.encode(), digest_size=8)
    digest.update(img.reshape(-1)[::61].tobytes())
    return int.from_bytes(digest.digest(), 'little') or 1
