# Copyright (c) mmloc contributors. All rights reserved.
import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from PIL import Image

from mmloc.registry import TRANSFORMS

#: 16384 x 16384 pixels, 0.8 GB when decoded to three bytes each.
MAX_PIXELS = 2**28
#: What no picture file exceeds: four channels of 16 bits.
_BYTES_PER_PIXEL = 8
#: Segments of a JPEG: SOF0 to SOF15, of which DHT, JPG and DAC are none.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENT = struct.Struct('>BH')
_HEIGHT_WIDTH = struct.Struct('>HH')


class UnreadableImageError(RuntimeError):
    """An image file is missing, empty, truncated or no image.

    Args:
        message (str): The sentence for the user.
        img_path (str): The file.
        reason (str): What is wrong with it, in a few words.
    """

    # A data loader rebuilds a worker's error from the message alone.
    def __init__(self, message: str, img_path: str = '',
                 reason: str = '') -> None:
        super().__init__(message)
        self.img_path = img_path
        self.reason = reason


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with one error for every unreadable file.

    mmcv raises an ``AssertionError``, a ``cv2.error`` or a
    ``FileNotFoundError`` depending on what is wrong; this class raises
    :class:`UnreadableImageError` with a sentence that names the file, which
    ``UnlabeledImageDataset(on_corrupt='skip')`` catches.

    With mmcv's defaults (backend ``'cv2'``, colour type ``'color'``) every
    image becomes uint8 BGR of shape (H, W, 3): gray, palette and CMYK images
    are converted, 16 bits are scaled to 8, an alpha channel is dropped and
    the **EXIF orientation is applied**, so ``img_shape`` is that of the
    upright image and may differ from the size stored in a COCO json. Write
    ``color_type='color_ignore_orientation'`` to leave images as stored.
    OpenCV cannot decode TIFF images of 32-bit floats.

    A path may lead into a zip: ``zip://FOLDER/FILE.zip/MEMBER``.

    The size of an image is read from its header before it is decoded, so that
    a small file that unpacks to more than the memory holds (a decompression
    bomb) is refused. What Pillow cannot recognise is left to OpenCV's own
    limit of 2**30 pixels. Neither are files opened that are larger than any
    image of ``max_pixels``, nor pipes and devices, on which reading would
    wait for ever.

    Required Keys:

    - img_path (str)

    Modified Keys:

    - img (np.uint8, (H, W, 3), BGR)
    - img_shape (tuple[int, int], (H, W))
    - ori_shape (tuple[int, int], (H, W))

    Args:
        max_pixels (int): The most pixels that an image may have. Defaults to
            2**28, which take 0.8 GB in each worker that decodes them.
        **kwargs: Of :class:`mmcv.transforms.LoadImageFromFile` without the
            deprecated ``file_client_args``.

    Raises:
        ValueError: ``max_pixels`` is below 1 or ``file_client_args`` given.
        UnreadableImageError: The file cannot be read as an image.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS, **kwargs) -> None:
        if max_pixels < 1:
            raise ValueError(
                f'max_pixels is {max_pixels}, expected 1 or more.')
        if kwargs.get('file_client_args') is not None:
            raise ValueError('LoadImage takes no file_client_args, expected '
                             'backend_args in their place.')
        super().__init__(**kwargs)
        self.max_pixels = max_pixels

    def transform(self, results: dict) -> dict:
        """Load the image.

        Args:
            results (dict): Holds ``img_path``.

        Returns:
            dict: With ``img``, ``img_shape`` and ``ori_shape``.
        """
        path = results['img_path']
        try:
            img = self._load(path)
        except Exception as error:
            if self.ignore_empty:
                return None
            reason = _fault(error)
            raise UnreadableImageError(
                f'Cannot read the image {path!r}: it {reason}; '
                "replace or remove the file, or set on_corrupt='skip' in "
                'the dataset to pass such files over.', path,
                reason) from error
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _load(self, path: str) -> np.ndarray:
        """Read and decode a file, if it is not too large."""
        if self.backend_args is None and '://' not in path:
            _check_file(path, self.max_pixels * _BYTES_PER_PIXEL)
        data = fileio.get(path, backend_args=self.backend_args)
        size = _size_in_header(data)
        if size is not None and size[0] * size[1] > self.max_pixels:
            raise _RefusedError(
                f'has {size[0]} x {size[1]} pixels, more than the '
                f'{self.max_pixels} that max_pixels of LoadImage allows')
        img = mmcv.imfrombytes(
            data, flag=self.color_type, backend=self.imdecode_backend)
        if img is None:
            raise _RefusedError(_NOT_DECODED)
        return img

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, max_pixels={self.max_pixels})'


_NOT_DECODED = 'is damaged, truncated or not an image that OpenCV can decode'


class _RefusedError(Exception):
    """What is wrong with a file, as a predicate."""


def _check_file(path: str, max_bytes: int) -> None:
    """Refuse what should not even be opened."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedError('is not a regular file but a folder, a pipe or a '
                            'device')
    if status.st_size > max_bytes:
        raise _RefusedError(
            f'has {status.st_size} bytes, more than the {max_bytes} of the '
            'largest image that max_pixels of LoadImage allows')


def _size_in_header(data: bytes) -> tuple[int, int] | None:
    """Width and height of an encoded image, None if Pillow cannot tell."""
    size = _size_of_jpeg(data)
    if size is not None:
        return size
    try:
        with any_size(), Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # of many kinds; the decoder will say what is wrong
        return None


def _size_of_jpeg(data: bytes) -> tuple[int, int] | None:
    """The same of a usual JPEG, in a tenth of the time that Pillow takes."""
    place = 2 if data.startswith(b'\xff\xd8') else len(data)
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = _SEGMENT.unpack_from(data, place + 1)
        if marker in _FRAME_HEADERS:
            height, width = _HEIGHT_WIDTH.unpack_from(data, place + 5)
            return width, height
        if not 0xC0 <= marker <= 0xFE or length < 2:
            break  # no segment with a length, such as padding
        place += 2 + length
    return None


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow, which has a limit of its own, open images of any size."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _fault(error: Exception) -> str:
    """Say in a few words what is wrong with a file."""
    if isinstance(error, _RefusedError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return 'does not exist'
    if isinstance(error, PermissionError):
        return 'may not be read by this user (permission denied)'
    if '!buf.empty()' in str(error):  # of OpenCV
        return 'is empty (0 bytes)'
    if 'CV_IO_MAX_IMAGE' in str(error):
        return ("has more pixels than OpenCV's limit "
                '(OPENCV_IO_MAX_IMAGE_PIXELS) allows')
    return f'fails with {type(error).__name__}: {error}'.rstrip(': .\n')
