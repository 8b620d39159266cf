# Copyright (c) mmloc contributors. All rights reserved.
"""Patches that are looked for in the image that they come from."""
import math

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes

from mmloc.registry import TRANSFORMS

from .randomness import cache_randomness


def _set_box(results: dict, box: np.ndarray) -> None:
    results['gt_bboxes'] = HorizontalBoxes(
        torch.as_tensor(np.asarray([box]), dtype=torch.float32))
    results['gt_bboxes_labels'] = np.zeros(1, np.int64)


@TRANSFORMS.register_module()
class RandomPatch(BaseTransform):
    """Draw the box of a patch, uniformly over the places inside the image.

    **Required Keys:**

    - img (np.uint8): (H, W, 3).

    **Added Keys:**

    - gt_bboxes (HorizontalBoxes[torch.float32]): (1, 4), xyxy in pixels.
    - gt_bboxes_labels (np.int64): (1, ), 0.

    Args:
        area_range (tuple[float, float]): Area relative to that of the image,
            drawn log-uniformly. Defaults to (0.02, 0.2).
        aspect_ratio_range (tuple[float, float]): Width over height, drawn
            log-uniformly. Defaults to (0.5, 2.0).

    Raises:
        ValueError: A range is empty or leaves (0, 1].
    """

    def __init__(
        self,
        area_range: tuple[float, float] = (0.02, 0.2),
        aspect_ratio_range: tuple[float, float] = (0.5, 2.0)
    ) -> None:
        for name, (low, high), most in (
                ('area_range', area_range, 1),
                ('aspect_ratio_range', aspect_ratio_range, math.inf)):
            if not 0 < low <= high <= most:
                raise ValueError(f'{name} is {(low, high)}, expected two '
                                 f'rising numbers above 0, up to {most}')
        self.area_range = tuple(area_range)
        self.aspect_ratio_range = tuple(aspect_ratio_range)

    @cache_randomness
    def _rand_box(self, height: int, width: int) -> list[int]:
        area, aspect = (
            math.exp(np.random.uniform(*np.log(span)))
            for span in (self.area_range, self.aspect_ratio_range))
        area *= height * width
        sides = [(area * aspect)**0.5, (area / aspect)**0.5]
        sides = [max(1, min(round(side), most))
                 for side, most in zip(sides, (width, height))]
        first = [np.random.randint(most - side + 1)
                 for side, most in zip(sides, (width, height))]
        return [*first, first[0] + sides[0], first[1] + sides[1]]

    def transform(self, results: dict) -> dict:
        """Draw the box.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict with the box.
        """
        _set_box(results, self._rand_box(*results['img'].shape[:2]))
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(area_range={self.area_range}, '
                f'aspect_ratio_range={self.aspect_ratio_range})')


@TRANSFORMS.register_module()
class CutPatch(BaseTransform):
    """Show the patch of an image in another image.

    **Required Keys:**

    - img (np.uint8): (H, W, 3).
    - gt_bboxes (HorizontalBoxes): (1, 4), the patch, in whole pixels.
    - backgrounds (list[dict]): Only with ``canvas``.

    **Modified Keys:**

    - img (np.uint8): The patch with its surroundings, or pasted.
    - img_shape, ori_shape (tuple): (H, W).
    - gt_bboxes (HorizontalBoxes): Where the patch now is.

    Args:
        side_range (tuple[int, int]): Least and largest longer side of the
            rescaled patch in pixels, drawn uniformly, both included.
        margin (float): What is cut on each side of the patch besides it,
            relative to its width and height, as far as there is image.
            Defaults to 0.
        canvas (tuple[int, int], optional): Width and height of the image to
            paste on, which is the first background resized to it. Defaults
            to None: what is cut is an image of its own.

    Raises:
        ValueError: ``side_range`` is empty or exceeds the canvas, or there
            is a margin that would be pasted.
    """

    def __init__(self,
                 side_range: tuple[int, int],
                 margin: float = 0.0,
                 canvas: tuple[int, int] | None = None) -> None:
        low, high = side_range
        most = math.inf if canvas is None else min(canvas)
        if not 0 < low <= high <= most:
            raise ValueError(f'side_range is {(low, high)}, expected two '
                             f'rising numbers above 0, up to {most}')
        if margin < 0 or (margin and canvas is not None):
            raise ValueError(f'margin is {margin}, expected 0 or more, and 0 '
                             'with a canvas')
        self.side_range = (low, high)
        self.margin = margin
        self.canvas = canvas

    @cache_randomness
    def _rand_side(self) -> int:
        low, high = self.side_range
        return np.random.randint(low, high + 1)

    @cache_randomness
    def _rand_place(self, width: int, height: int) -> list[int]:
        return [np.random.randint(most - side + 1)
                for side, most in zip((width, height), self.canvas)]

    def transform(self, results: dict) -> dict:
        """Cut, rescale, and perhaps paste.

        Args:
            results (dict): Result dict with the image and the box.

        Returns:
            dict: Result dict with the new image and box.
        """
        image, box = self._cut(results['img'],
                               results['gt_bboxes'].tensor[0].numpy())
        if self.canvas is not None:
            canvas = mmcv.imresize(
                results['backgrounds'][0]['img'], self.canvas).copy()
            height, width = image.shape[:2]
            x, y = self._rand_place(width, height)
            canvas[y:y + height, x:x + width] = image
            image, box = canvas, box + np.tile([x, y], 2)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        _set_box(results, box)
        return results

    def _cut(self, image: np.ndarray,
             box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut the box with its margin out and rescale it."""
        size = box[2:] - box[:2]
        margin = self.margin * size
        first = np.maximum(box[:2] - margin, 0).astype(int)
        last = np.minimum(box[2:] + margin, image.shape[1::-1]).astype(int)
        region = image[first[1]:last[1], first[0]:last[0]]
        factor = self._rand_side() / size.max()
        new_size = np.maximum((last - first) * factor, 1).round().astype(int)
        # Whole pixels have changed the factor a little.
        scale = np.tile(new_size / (last - first), 2)
        box = (box - np.tile(first, 2)) * scale
        return mmcv.imresize(region, tuple(new_size.tolist())), box

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(side_range={self.side_range}, '
                f'margin={self.margin}, canvas={self.canvas})')
