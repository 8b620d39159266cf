# Copyright (c) mmloc contributors. All rights reserved.
"""Colour transforms that draw; :mod:`mmloc.photometric` carries them out.

The pixels are, bit for bit, those of Pillow as the published code of MoCo-v2,
InsLoc and SoCo calls it by way of torchvision on RGB images.
"""
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.datasets import ColorJitter as MMPretrainColorJitter
from mmpretrain.datasets import GaussianBlur as MMPretrainGaussianBlur
from mmpretrain.datasets import Solarize as MMPretrainSolarize

from mmloc import photometric
from mmloc.registry import TRANSFORMS

from .randomness import cache_randomness


@TRANSFORMS.register_module()
class DeferPhotometric(BaseTransform):
    """Let the data preprocessor change the colours, on its device.

    The colour transforms of mmloc and its cutout, wherever they come later in
    the pipeline, then only draw, with the same random numbers, and the sample
    carries what they drew to :class:`.PhotometricDataPreprocessor`, which the
    model needs. They must come in the order jitter, grey, blur, solarise,
    cutout, after crops and resizes; flips may come anywhere before the
    cutout. :class:`MultiView` then leaves crops, resizes and flips as well.

    Views belong into :class:`MultiView` or mmloc's :class:`MultiBranch`: these
    carry out what was drawn before a transform that is not mmloc's, and
    refuse views whose packing loses it. mmdet's ``MultiBranch`` and a plain
    pipeline do neither.

    **Added Keys:**

    - photometric (np.float32): See :func:`mmloc.photometric.unchanged`.

    Args:
        enabled (bool): False leaves everything to the loader's workers.
            Defaults to True.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def transform(self, results: dict) -> dict:
        """Give the sample a vector.

        Args:
            results (dict): Result dict.

        Returns:
            dict: Result dict with ``photometric`` if enabled.
        """
        if self.enabled:
            results[photometric.KEY] = photometric.unchanged()
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(enabled={self.enabled})'


@TRANSFORMS.register_module()
class ColorJitter(MMPretrainColorJitter):
    """mmpretrain's colour jitter with the pixels of torchvision.

    The draws are mmpretrain's. Its pixels are not: mmcv weighs the channels
    of BGR images as if they were RGB for contrast and saturation, and its
    ``adjust_hue`` (mmcv 2.1) fails on numpy 2 for every negative hue.

    **Modified Keys:**

    - img (np.uint8): (H, W, 3), BGR, or
    - photometric, see :class:`DeferPhotometric`.

    Args:
        *args: Of mmpretrain's ``ColorJitter``.
        prob (float): Probability of a change, drawn as by mmcv's
            ``RandomApply`` around it. Defaults to 1, always and undrawn.
        **kwargs: Of mmpretrain's ``ColorJitter``.

    Raises:
        ValueError: If ``prob`` is outside [0, 1].
    """

    def __init__(self, *args, prob: float = 1., **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.prob = _checked(prob)
        self._spans = (self.brightness, self.contrast, self.saturation,
                       self.hue)

    @cache_randomness
    def _rand_change(self) -> bool:
        return self.prob == 1 or np.random.rand() < self.prob

    @cache_randomness
    def _rand_params(self) -> tuple:
        """mmpretrain's draws, in fewer calls of NumPy."""
        order = np.random.permutation(4).tolist()
        drawn = iter(np.random.rand(4 - self._spans.count(None)).tolist())
        return order, *(
            span and span[0] + (span[1] - span[0]) * next(drawn)
            for span in self._spans)

    def transform(self, results: dict) -> dict:
        """Jitter the colours.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict with the changed ``img``.
        """
        if not self._rand_change():
            return results
        order, *factors = self._rand_params()
        if factors[3] is not None:
            # A turn of the circle of 8-bit hues, as torchvision rounds it.
            factors[3] = int(factors[3] * 255) % 256
        factors = [
            neutral if factor is None else factor
            for factor, neutral in zip(factors, photometric.NEUTRAL)
        ]
        return photometric.change(results, 'jitter', [*order, *factors])

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, prob={self.prob})'


@TRANSFORMS.register_module()
class RandomGrayscale(BaseTransform):
    """Turn an image grey with some probability.

    mmcv's transform of this name cuts off the decimals, which makes about
    half of the pixels darker by one, and works in float64.

    **Modified Keys:**

    - img (np.uint8): (H, W, 3), BGR, with equal channels if grey, or
    - photometric, see :class:`DeferPhotometric`.

    Args:
        prob (float): Probability of grey. Defaults to 0.1.

    Raises:
        ValueError: If ``prob`` is outside [0, 1].
    """

    def __init__(self, prob: float = 0.1) -> None:
        self.prob = _checked(prob)

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
            return photometric.change(results, 'grey', [1])
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(prob={self.prob})'


def _checked(prob: float) -> float:
    if not 0 <= prob <= 1:
        raise ValueError(f'prob is {prob}, but it must lie in [0, 1].')
    return prob


def _change_at_random(transform: BaseTransform, results: dict, change: str,
                      magnitude: float | None) -> dict:
    """Change an image as mmpretrain's transforms do: perhaps, and by a
    drawn magnitude where none is given."""
    if transform.random_disable():
        return results
    if magnitude is None:
        magnitude = transform.random_magnitude()
    return photometric.change(results, change, [magnitude])


@TRANSFORMS.register_module()
class GaussianBlur(MMPretrainGaussianBlur):
    """mmpretrain's blur, which is Pillow's, in less time.

    **Modified Keys:**

    - img (np.uint8): (H, W, 3), or
    - photometric, see :class:`DeferPhotometric`.
    """

    random_disable = cache_randomness.of(MMPretrainGaussianBlur,
                                         'random_disable')
    random_magnitude = cache_randomness.of(MMPretrainGaussianBlur,
                                           'random_magnitude')

    def transform(self, results: dict) -> dict:
        """Blur the image or leave it.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict, perhaps with a changed ``img``.
        """
        return _change_at_random(self, results, 'blur', self.radius)


@TRANSFORMS.register_module()
class Solarize(MMPretrainSolarize):
    """mmpretrain's solarisation in less time.

    **Modified Keys:**

    - img (np.uint8): (H, W, 3), or
    - photometric, see :class:`DeferPhotometric`.
    """

    random_disable = cache_randomness.of(MMPretrainSolarize, 'random_disable')
    random_magnitude = cache_randomness.of(MMPretrainSolarize,
                                           'random_magnitude')

    def transform(self, results: dict) -> dict:
        """Invert the bright pixels of the image or leave it.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict: Result dict, perhaps with a changed ``img``.
        """
        return _change_at_random(self, results, 'solarize', self.thr)
