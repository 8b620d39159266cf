# Copyright (c) mmloc contributors. All rights reserved.
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes

from mmloc.registry import TRANSFORMS

from .geometric import RandomResizedCrop
from .randomness import cache_randomness


@TRANSFORMS.register_module()
class PasteInstance(BaseTransform):
    """Paste random crops of the foregrounds onto a background.

    This is the composite of InsLoc (Sec. 3.1). The background is resized to
    the canvas without keeping its aspect ratio. Of each foreground a crop is
    taken as in a random resized crop, rescaled with its aspect ratio kept
    so that it fits a random target size, and laid over the canvas without
    blending at a random place wholly inside. Several foregrounds are pasted
    in their order, later ones over earlier ones.

    The target size bounds the fit: the longer side of the patch is at most
    the longer side of the target, the shorter at most the shorter. Sides
    below the lower bound are therefore usual. As in the published code the
    patch never touches the right or bottom border.

    **Required Keys:**

    - foregrounds (list[dict]): K results with the key ``img``.
    - backgrounds (list[dict]): Results with the key ``img``.

    **Added Keys:**

    - gt_bboxes (HorizontalBoxes[torch.float32]): (K, 4), xyxy in pixels.
    - gt_bboxes_labels (np.int64): (K, ), the instance ids 0, ..., K - 1.

    **Modified Keys:**

    - img (np.uint8): The composite, (H, W, 3).
    - img_shape, ori_shape (tuple): (H, W).

    Args:
        background (int): Which of the backgrounds to use. Each view takes
            another one. Defaults to 0.
        canvas (tuple[int, int]): Width and height of the composite in
            pixels. Defaults to (256, 256).
        width_range (tuple[int, int]): Least and largest width of the target
            size, both included. Defaults to (128, 254).
        height_range (tuple[int, int], optional): The same for the height.
            Defaults to None, for ``width_range``.
        crop_ratio_range (tuple[float, float]): Range of the area of the crop
            relative to the foreground. Defaults to (0.2, 1.0).
        aspect_ratio_range (tuple[float, float]): Range of the crop's width
            over height, drawn log-uniformly. Defaults to (0.5, 2.0).

    Raises:
        ValueError: If a range is empty or does not fit the canvas.
    """

    def __init__(
            self,
            background: int = 0,
            canvas: tuple[int, int] = (256, 256),
            width_range: tuple[int, int] = (128, 254),
            height_range: tuple[int, int] | None = None,
            crop_ratio_range: tuple[float, float] = (0.2, 1.0),
            aspect_ratio_range: tuple[float, float] = (0.5, 2.0)
    ) -> None:
        self.background = background
        self.canvas = tuple(canvas)
        self.target_ranges = (tuple(width_range),
                              tuple(height_range or width_range))
        for name, (low, high), side in zip(('width', 'height'),
                                           self.target_ranges, self.canvas):
            if not 0 < low <= high < side:
                raise ValueError(
                    f'{name}_range is ({low}, {high}), but it must rise, be '
                    f'positive and stay below the {name} {side} of the '
                    'canvas.')
        # Only its random draw is used; the scale has no effect on that.
        self.crop = RandomResizedCrop(
            scale=1,
            crop_ratio_range=crop_ratio_range,
            aspect_ratio_range=aspect_ratio_range)

    @cache_randomness
    def _rand_target(self) -> tuple[int, int]:
        """Draw width and height of the target size."""
        return tuple(
            np.random.randint(low, high + 1)
            for low, high in self.target_ranges)

    @cache_randomness
    def _rand_position(self, size: tuple[int, int]) -> tuple[int, int]:
        """Draw left and top of a patch of the given width and height."""
        return tuple(
            np.random.randint(side - length)
            for side, length in zip(self.canvas, size))

    def patch_size(self, crop: tuple[int, int],
                   target: tuple[int, int]) -> tuple[int, int]:
        """Width and height of a crop after fitting it to the target size.

        Args:
            crop (tuple[int, int]): Width and height of the crop.
            target (tuple[int, int]): Width and height of the target.

        Returns:
            tuple[int, int]: Sides of the patch, below those of the canvas.
        """
        size = mmcv.rescale_size(crop, target)
        # A target turned against the crop may exceed a flat or tall canvas.
        limit = tuple(side - 1 for side in self.canvas)
        excess = max(length / most for length, most in zip(size, limit))
        if excess > 1:
            size = tuple(int(length / excess) for length in size)
        return tuple(max(length, 1) for length in size)

    def transform(self, results: dict) -> dict:
        """Compose the image.

        Args:
            results (dict): Result dict with foregrounds and backgrounds.

        Returns:
            dict: Result dict with the composite and its boxes.
        """
        backgrounds = results['backgrounds']
        if not 0 <= self.background < len(backgrounds):
            raise ValueError(
                f'PasteInstance asks for background {self.background}, but '
                f'the sample has {len(backgrounds)}; set num_backgrounds of '
                'MixImagesDataset to the number of views.')
        img = self._make_canvas(backgrounds[self.background])
        boxes = [
            self._paste(img, foreground['img'])
            for foreground in results['foregrounds']
        ]
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        results['gt_bboxes'] = HorizontalBoxes(
            torch.from_numpy(boxes), clone=False)
        results['gt_bboxes_labels'] = np.arange(len(boxes), dtype=np.int64)
        return results

    def _make_canvas(self, background: dict) -> np.ndarray:
        """A background at the size of the canvas, to be written to."""
        img = background['img']
        if background.get('resized') and img.shape[1::-1] != self.canvas:
            raise ValueError(
                f'The background cache holds images of {img.shape[1]} x '
                f'{img.shape[0]} pixels, but the canvas has {self.canvas[0]} '
                f'x {self.canvas[1]}; set background_cache.size to that.')
        resized = mmcv.imresize(img, self.canvas)
        return resized.copy() if np.shares_memory(resized, img) else resized

    def _paste(self, canvas: np.ndarray, foreground: np.ndarray) -> tuple:
        """Lay a crop of the foreground over the canvas; return its box."""
        top, left, height, width = self.crop.rand_crop_params(foreground)
        patch = foreground[top:top + height, left:left + width]
        size = self.patch_size((width, height), self._rand_target())
        patch = mmcv.imresize(patch, size)
        x, y = self._rand_position(size)
        canvas[y:y + size[1], x:x + size[0]] = patch
        return x, y, x + size[0], y + size[1]

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(background={self.background}, '
                f'canvas={self.canvas}, '
                f'target_ranges={self.target_ranges}, crop={self.crop})')
