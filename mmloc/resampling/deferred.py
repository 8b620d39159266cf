# Copyright (c) mmloc contributors. All rights reserved.
"""Images whose crop, resize and flip are noted and not yet carried out."""
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .kernels import flip, resize_antialiased

#: Key of what is noted, in the meta information of data samples.
KEY = 'resampling'


class _Plan(NamedTuple):
    """What is made of an image: a region, its new size, and a flip.

    As a plain tuple it travels in the meta information of a data sample.
    """
    top: int
    left: int
    height: int
    width: int
    new_height: int
    new_width: int
    flip: str | None = None


class _Source:
    """Pixels that several views share."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    @cached_property
    def tensor(self) -> Tensor:
        """The same memory, (3, H, W): one object for all views."""
        return torch.from_numpy(self.pixels).permute(2, 0, 1)


class DeferredImage:
    """An image (H, W, 3) that is still to be cut out of another one.

    Crops, then a resize, then a flip are only noted. Whatever else is asked
    of it, another order of these included, has the pixels made first, once,
    and goes on with them; so it never shows pixels that it should not have.
    It has the shape of the image, NumPy can read it, and functions that want
    a real array refuse it.

    Args:
        pixels (np.ndarray): uint8 (H, W, 3). Nobody may write to it.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, pixels: np.ndarray) -> None:
        height, width = pixels.shape[:2]
        self._source = _Source(pixels)
        self._plan = _Plan(0, 0, height, width, height, width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and number of channels."""
        return self._plan.new_height, self._plan.new_width, 3

    @cached_property
    def pixels(self) -> np.ndarray:
        """The image itself, uint8 (H, W, 3)."""
        return carry_out(self._source.pixels, self._plan)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The image itself, for NumPy."""
        return np.array(self.pixels, dtype=dtype, copy=copy)

    def __getitem__(self, places) -> 'DeferredImage | np.ndarray':
        """A crop for ``[top:bottom, left:right, ...]``, otherwise pixels."""
        inner = places[:2] if isinstance(places, tuple) else ()
        if len(inner) < 2 or places[2:] not in ((), (..., )) or not all(
                isinstance(place, slice) and place.step is None
                for place in inner):
            return self.pixels[places]
        (top, bottom, _), (left, right, _) = (
            place.indices(side) for place, side in zip(inner, self.shape))
        return self.crop(top, left, max(bottom - top, 0), max(right - left, 0))

    def crop(self, top: int, left: int, height: int,
             width: int) -> 'DeferredImage':
        """Note a crop.

        Args:
            top (int): Rows above it.
            left (int): Columns to the left of it.
            height (int): Its rows, all within the image.
            width (int): Its columns, all within the image.

        Returns:
            DeferredImage: The crop.
        """
        image = self._before('crop')
        return image._with(
            _Plan(image._plan.top + top, image._plan.left + left, height,
                  width, height, width))

    def resize(self, size: tuple[int, int]) -> 'DeferredImage':
        """Note a resize.

        Args:
            size (tuple[int, int]): New width and height.

        Returns:
            DeferredImage: The resized image.
        """
        if self.shape[1::-1] == tuple(size):
            return self
        image = self._before('resize')
        return image._with(_Plan(*image._plan[:4], int(size[1]), int(size[0])))

    def flip(self, direction: str) -> 'DeferredImage':
        """Note a flip.

        Args:
            direction (str): As in :func:`.flip`.

        Returns:
            DeferredImage: The mirrored image.
        """
        image = self._before('flip')
        return image._with(_Plan(*image._plan[:6], direction))

    def pack(self) -> tuple[Tensor, tuple | None]:
        """What the data preprocessor needs to make the image.

        Returns:
            tuple[Tensor, tuple | None]: uint8 (3, H, W), the same object for
            all images that are made of it; and what to make of it, None for
            nothing. See :func:`carry_out`.
        """
        image = self._settled if 'pixels' in self.__dict__ else self
        plan = image._plan
        height, width = image._source.pixels.shape[:2]
        whole = plan == (0, 0, height, width, height, width, None)
        return image._source.tensor, None if whole else tuple(plan)

    @cached_property
    def _settled(self) -> 'DeferredImage':
        """The same image with its pixels as the source."""
        if self.pixels is self._source.pixels:
            return self
        return DeferredImage(np.ascontiguousarray(self.pixels))

    def _before(self, step: str) -> 'DeferredImage':
        """The image to which a step can be added, by a plan or by pixels."""
        plan = self._plan
        late = plan.flip is not None or (
            step != 'flip' and plan[2:4] != plan[4:6])
        return self._settled if late or 'pixels' in self.__dict__ else self

    def _with(self, plan: _Plan) -> 'DeferredImage':
        image = object.__new__(DeferredImage)
        image._source, image._plan = self._source, plan
        return image

    def __repr__(self) -> str:
        return f'{type(self).__name__}(shape={self.shape})'


def carry_out(pixels: np.ndarray, plan: Sequence | None) -> np.ndarray:
    """Cut a region out of an image, resize and mirror it.

    Args:
        pixels (np.ndarray): (H, W, 3).
        plan (Sequence, optional): Top, left, height and width of the region,
            new height and width, and the direction of the flip or None. None
            for the whole image as it is.

    Returns:
        np.ndarray: (new height, new width, 3), perhaps a part of ``pixels``.
    """
    if plan is None:
        return pixels
    top, left, height, width, new_height, new_width, direction = plan
    region = pixels[top:top + height, left:left + width]
    if region.shape == pixels.shape:
        region = pixels
    return flip(resize_antialiased(region, (new_width, new_height)), direction)


def pixels_of(image: 'np.ndarray | DeferredImage') -> np.ndarray:
    """The pixels of an image, made if they are not."""
    return image.pixels if isinstance(image, DeferredImage) else image


def size_after(image: Tensor, plan: Sequence | None) -> tuple[int, int]:
    """Height and width of a packed image once it is made.

    Args:
        image (Tensor): (3, H, W).
        plan (Sequence, optional): See :func:`carry_out`, None for nothing.

    Returns:
        tuple[int, int]: Height and width.
    """
    return tuple(image.shape[1:] if plan is None else plan[4:6])
