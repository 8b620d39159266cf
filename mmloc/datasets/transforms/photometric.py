# Copyright (c) mmloc contributors. All rights reserved.
"""Colour transforms in Pillow, as torchvision applies them to RGB images."""
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpretrain.datasets import ColorJitter as MMPretrainColorJitter
from PIL import Image
from torchvision.transforms import functional

from mmloc.registry import TRANSFORMS


def _to_pillow(img: np.ndarray) -> Image.Image:
    return Image.fromarray(mmcv.bgr2rgb(img))


def _to_bgr(img: Image.Image) -> np.ndarray:
    return mmcv.rgb2bgr(np.asarray(img))


@TRANSFORMS.register_module()
class ColorJitter(MMPretrainColorJitter):
    """mmpretrain's colour jitter, applied by torchvision in Pillow.

    The draws are mmpretrain's. The pixels are those of the published code of
    MoCo-v2, InsLoc and SoCo, which use torchvision on RGB images: mmcv weighs
    the channels of BGR images as if they were RGB for contrast and
    saturation, and its ``adjust_hue`` (mmcv 2.1) fails on numpy 2 for every
    negative hue.

    **Modified Keys:**

    - img (np.uint8): (H, W, 3), BGR.
    """

    #: Operations in the order in which the draw numbers them.
    operations = (functional.adjust_brightness, functional.adjust_contrast,
                  functional.adjust_saturation, functional.adjust_hue)

    def transform(self, results: dict) -> dict:
        """Jitter the colours.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict with the changed ``img``.
        """
        order, *factors = self._rand_params()
        img = _to_pillow(results['img'])
        for index in order:
            if factors[index] is not None:
                img = self.operations[index](img, factors[index])
        results['img'] = _to_bgr(img)
        return results


@TRANSFORMS.register_module()
class RandomGrayscale(BaseTransform):
    """Turn an image grey with some probability, by torchvision in Pillow.

    The pixels are those of the published code. mmcv's transform of this name
    cuts off the decimals, which makes about half of the pixels darker by
    one, and works in float64.

    **Modified Keys:**

    - img (np.uint8): (H, W, 3), BGR, with equal channels if grey.

    Args:
        prob (float): Probability of grey. Defaults to 0.1.

    Raises:
        ValueError: If ``prob`` is outside [0, 1].
    """

    def __init__(self, prob: float = 0.1) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob}, but it must lie in [0, 1].')
        self.prob = prob

    @cache_randomness
    def _rand_grey(self) -> bool:
        return np.random.rand() < self.prob

    def transform(self, results: dict) -> dict:
        """Turn the image grey or leave it.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict, perhaps with a changed ``img``.
        """
        if self._rand_grey():
            results['img'] = _to_bgr(
                functional.rgb_to_grayscale(_to_pillow(results['img']), 3))
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(prob={self.prob})'
