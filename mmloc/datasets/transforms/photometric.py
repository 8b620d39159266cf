# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
from mmpretrain.datasets import ColorJitter as MMPretrainColorJitter
from PIL import Image
from torchvision.transforms import functional

from mmloc.registry import TRANSFORMS


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
        img = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
        for index in order:
            if factors[index] is not None:
                img = self.operations[index](img, factors[index])
        results['img'] = np.ascontiguousarray(np.asarray(img)[..., ::-1])
        return results
