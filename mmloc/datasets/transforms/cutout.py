# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
from mmcv.transforms import BaseTransform

from mmloc.photometric import change
from mmloc.registry import TRANSFORMS
from mmloc.utils.compiled import compiled

from .randomness import cache_randomness


@TRANSFORMS.register_module()
class CutoutInBoxes(BaseTransform):
    """Cover a square within a box by the mean colour (SoCo's code).

    Each box is cut with some probability. The square's area is a fraction of
    the box's, its centre is uniform in the box, and it is clipped only at the
    border of the image. A box that stands several times in the list has as
    many chances.

    **Required Keys:**

    - img (np.uint8): (H, W, 3), BGR.
    - gt_bboxes (HorizontalBoxes): (K, 4), xyxy in pixels.

    **Modified Keys:**

    - img, or
    - photometric, see :class:`DeferPhotometric`.

    Args:
        prob (float): Probability of each box. Defaults to 0.5.
        area (tuple[float, float]): Range of the square's area relative to
            the box. Defaults to (0.1, 0.3).
        fill (tuple[float, float, float]): Colour as RGB, rounded to whole
            numbers, so that after normalisation by this mean the square is
            not exactly 0 but below 0.01. Defaults to ImageNet's mean.

    Raises:
        ValueError: ``prob`` or ``area`` is outside [0, 1], or ``area`` falls.
    """

    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.1, 0.3),
        fill: tuple[float, float, float] = (123.675, 116.28, 103.53)
    ) -> None:
        if not 0 <= prob <= 1 or not 0 <= area[0] <= area[1] <= 1:
            raise ValueError(f'prob is {prob} and area {tuple(area)}, but '
                             'they must lie in [0, 1] and area must rise.')
        self.prob = prob
        self.area = tuple(area)
        self.fill = np.array(fill[::-1]).round().tolist()

    @cache_randomness
    def _rand_squares(self, num: int) -> tuple[np.ndarray, ...]:
        """Draw which boxes are cut, relative areas, relative centres."""
        return (np.random.rand(num) < self.prob,
                np.random.uniform(*self.area, num), np.random.rand(num, 2))

    @staticmethod
    @compiled
    def squares(boxes: np.ndarray, area: np.ndarray,
                centre: np.ndarray) -> np.ndarray:
        """Squares within boxes.

        Args:
            boxes (np.ndarray): (n, 4).
            area (np.ndarray): (n, ), relative to the box.
            centre (np.ndarray): (n, 2), relative to the box.

        Returns:
            np.ndarray: int (n, 4), x1, y1, x2, y2 with x2 and y2 excluded;
            negative coordinates are set to 0.
        """
        squares = np.empty((len(boxes), 4), np.int64)
        for i in range(len(boxes)):
            width = boxes[i, 2] - boxes[i, 0]
            height = boxes[i, 3] - boxes[i, 1]
            half = np.sqrt(area[i] * (width * height)) / 2
            for j, side in ((0, width), (1, height)):
                middle = boxes[i, j] + centre[i, j] * side
                squares[i, j] = max(np.rint(middle - half), 0)
                squares[i, j + 2] = max(np.rint(middle + half), 0)
        return squares

    def transform(self, results: dict) -> dict:
        """Cut.

        Args:
            results (dict): Result dict with boxes.

        Returns:
            dict: Result dict, perhaps with a changed ``img``.
        """
        boxes = results['gt_bboxes'].numpy()
        cut, area, centre = self._rand_squares(len(boxes))
        if not cut.any():
            return results
        squares = self.squares(boxes, area, centre)[cut].ravel().tolist()
        return change(results, 'cutout', [*self.fill, *squares])

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(prob={self.prob}, '
                f'area={self.area}, fill={self.fill[::-1]})')
