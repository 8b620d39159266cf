# Copyright (c) mmloc contributors. All rights reserved.
import mmcv
import numpy as np
from mmdet.datasets.transforms import RandomCrop
from mmdet.datasets.transforms import RandomFlip as MMDetFlip
from mmdet.datasets.transforms import Resize as MMDetResize
from mmdet.structures.bbox import HorizontalBoxes
from mmpretrain.datasets import RandomResizedCrop as MMPretrainCrop

from mmloc.registry import TRANSFORMS
from mmloc.resampling import (
    DeferredImage,
    flip,
    pixels_of,
    resize_antialiased,
)

from .randomness import cache_randomness

_MASKS = ('gt_masks', 'gt_seg_map')


def _has_regions(results: dict, keys: tuple = ('gt_bboxes', *_MASKS)) -> bool:
    """Whether more than the pixels is to be moved."""
    return any(results.get(key) is not None for key in keys)


def _follow(results: dict, shift: tuple[float, float],
            scale: tuple[float, float]) -> None:
    """Shift x and y of the view, then stretch them, in the homography.

    The numbers are those of mmdet, which multiplies matrices of float32.
    """
    matrix = results.get('homography_matrix')
    if matrix is None or matrix.dtype != np.float64:
        move, stretch = np.eye(3, dtype=np.float32), np.diag(
            np.float32([*scale, 1]))
        move[:2, 2] = shift
        results['homography_matrix'] = stretch @ (
            move if matrix is None else move @ matrix)
        return
    # Python's numbers: NumPy's overhead on nine of them would be felt.
    *rows, last = matrix.tolist()
    for row, offset, factor in zip(rows, shift, np.float32(scale).tolist()):
        for i in range(3):
            row[i] = factor * (row[i] + offset * last[i])
    results['homography_matrix'] = np.array([*rows, last])


@TRANSFORMS.register_module()
class Resize(MMDetResize):
    """mmdet's ``Resize`` with a fast antialiased backend.

    Required, modified and added keys are those of mmdet's.

    Args:
        scale (tuple[int, int]): Width and height in pixels.
        keep_ratio (bool): Whether the aspect ratio is kept and ``scale``
            bounds the sides. Defaults to False.
        backend (str): ``'torch'`` (antialiased, see
            :func:`~mmloc.resampling.resize_antialiased`), ``'pillow'``
            (antialiased, as published) or ``'cv2'`` (not antialiased).
            Defaults to 'torch'.
        **kwargs: Of mmdet's ``Resize``.
    """

    def __init__(self,
                 scale: tuple[int, int],
                 keep_ratio: bool = False,
                 backend: str = 'torch',
                 **kwargs) -> None:
        super().__init__(
            scale=scale, keep_ratio=keep_ratio, backend=backend, **kwargs)

    def transform(self, results: dict) -> dict:
        """Resize.

        Args:
            results (dict): Result dict.

        Returns:
            dict: Result dict, resized.
        """
        if not self.scale or _has_regions(results):
            return super().transform(results)
        results['scale'] = self.scale
        self._resize_img(results)
        self._record_homography_matrix(results)
        return results

    def _record_homography_matrix(self, results: dict) -> None:
        _follow(results, (0, 0), results['scale_factor'])

    def _resize_img(self, results: dict) -> None:
        img = results.get('img')
        if img is None or self.backend != 'torch':
            results['img'] = pixels_of(img)
            super()._resize_img(results)
            return
        height, width = img.shape[:2]
        size = results['scale']
        if self.keep_ratio:
            size = mmcv.rescale_size((width, height), size)
        results['img'] = img.resize(size) if isinstance(
            img, DeferredImage) else resize_antialiased(img, size)
        results['img_shape'] = results['img'].shape[:2]
        results['scale_factor'] = (size[0] / width, size[1] / height)
        results['keep_ratio'] = self.keep_ratio


@TRANSFORMS.register_module()
class RandomFlip(MMDetFlip):
    """mmdet's ``RandomFlip``, of the same draws and outcome, but quicker."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        prob, names = self.prob, self.direction
        names = [names] if isinstance(names, str) else list(names)
        if isinstance(prob, float):
            prob = [prob / len(names)] * len(names)
        self._names = [*names, None]
        # As in np.random.choice, whose checks cost more than the rest.
        bounds = np.cumsum([*prob, 1. - sum(prob)])
        self._bounds = bounds / bounds[-1]

    @cache_randomness
    def _choose_direction(self) -> str | None:
        """Draw the direction, None for no flip."""
        index = self._bounds.searchsorted(np.random.random(), side='right')
        return self._names[index]

    def _flip(self, results: dict) -> None:
        img, direction = results['img'], results['flip_direction']
        boxes = results.get('gt_bboxes')
        if _has_regions(results, _MASKS) or type(boxes) not in (
                HorizontalBoxes, type(None)):
            results['img'] = img = pixels_of(img)
            super()._flip(results)
            # NumPy's view that runs backwards makes all that follows slow.
            results['img'] = flip(img, direction)
            return
        height, width = img.shape[:2]
        across, down = (direction in (name, 'diagonal')
                        for name in ('horizontal', 'vertical'))
        if boxes is not None:
            corners = boxes.tensor.numpy()
            for axis, side in ((0, width), (1, height)):
                if (across, down)[axis]:
                    low, high = corners[:, axis], corners[:, axis + 2]
                    low[:], high[:] = side - high, side - low
        _follow(results, (-width * across, -height * down),
                (1 - 2 * across, 1 - 2 * down))
        results['img'] = img.flip(direction) if isinstance(
            img, DeferredImage) else flip(img, direction)


class _CropAt(RandomCrop):
    """mmdet's crop, at a given place."""

    def __init__(self, top: int, left: int, height: int, width: int) -> None:
        super().__init__(crop_size=(width, height), allow_negative_crop=True)
        self.offset = (top, left)

    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        return self.offset


@TRANSFORMS.register_module()
class RandomResizedCrop(MMPretrainCrop):
    """mmpretrain's random resized crop that takes boxes along.

    The draw is mmpretrain's, which is torchvision's. mmdet's ``RandomCrop``
    and ``Resize`` carry it out, so that boxes, ids, masks and
    ``homography_matrix`` follow the pixels; boxes outside the crop are
    dropped. By Pillow the pixels are those of torchvision on Pillow images.

    **Required Keys:**

    - img (np.uint8): (H, W, 3).
    - gt_bboxes and what else mmdet's ``RandomCrop`` handles (optional).

    **Modified Keys:**

    - img, img_shape, and the optional ones.

    **Added Keys:**

    - homography_matrix (np.float32): (3, 3).
    - scale, scale_factor, keep_ratio: Of mmdet's ``Resize``.

    Args:
        scale (int or tuple[int, int]): Width and height of the result in
            pixels, as in mmdet's ``Resize``, or the side of a square.
        crop_ratio_range (tuple[float, float]): Range of the area of the crop
            relative to the image. Defaults to (0.08, 1.0).
        aspect_ratio_range (tuple[float, float]): Range of the crop's width
            over height, drawn log-uniformly. Defaults to (3 / 4, 4 / 3).
        max_attempts (int): After so many draws that do not fit the image the
            largest central crop within ``aspect_ratio_range`` is taken.
            Defaults to 10.
        backend (str): Of :class:`Resize`. Defaults to 'torch'.

    Raises:
        ValueError: A range is empty.
    """

    def __init__(self,
                 scale: int | tuple[int, int],
                 crop_ratio_range: tuple[float, float] = (0.08, 1.0),
                 aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
                 max_attempts: int = 10,
                 backend: str = 'torch') -> None:
        scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        super().__init__(
            scale=scale,
            crop_ratio_range=crop_ratio_range,
            aspect_ratio_range=aspect_ratio_range,
            max_attempts=max_attempts,
            backend=backend)
        self.resize = Resize(scale=scale, backend=backend)

    rand_crop_params = cache_randomness.of(MMPretrainCrop, 'rand_crop_params')

    def transform(self, results: dict) -> dict:
        """Crop and resize.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict with the view.
        """
        img = results['img']
        top, left, height, width = self.rand_crop_params(img)
        if _has_regions(results):
            crop = _CropAt(top, left, height, width)
            return self.resize(crop(results))
        results['img'] = img.crop(top, left, height, width) if isinstance(
            img, DeferredImage) else img[top:top + height, left:left + width]
        results['scale'] = self.resize.scale
        self.resize._resize_img(results)
        _follow(results, (-left, -top), results['scale_factor'])
        return results
