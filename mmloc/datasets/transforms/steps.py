# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

from mmcv.transforms import BaseTransform, Compose, RandomApply

from mmloc.resampling import pixels_of

from .cutout import CutoutInBoxes
from .geometric import RandomFlip, RandomResizedCrop, Resize
from .instances import AugmentBoxes, PackRegionInputs
from .matches import SelectMatches
from .photometric import (
    ColorJitter,
    GaussianBlur,
    RandomGrayscale,
    Solarize,
)

#: What works on images whose pixels are still to be made, if colours are
#: deferred; of a subclass nobody knows what it reads.
_TAKE_DEFERRED = frozenset({
    AugmentBoxes, ColorJitter, CutoutInBoxes, GaussianBlur, PackRegionInputs,
    RandomFlip, RandomGrayscale, RandomResizedCrop, Resize, SelectMatches,
    Solarize
})


class Steps(Compose):
    """Transforms of a view whose pixels may still be to be made.

    They are made before the first transform that might look at them.

    Args:
        transforms (Sequence[dict | Callable]): The transforms.
    """

    def __init__(self, transforms: Sequence) -> None:
        super().__init__(transforms)
        self._blind = [takes_deferred(step) for step in self.transforms]

    def transform(self, results: dict) -> dict | None:
        """Run the transforms.

        Args:
            results (dict): Result dict.

        Returns:
            dict or None: The last one's result, None if one gives up.
        """
        for step, blind in zip(self.transforms, self._blind):
            if not blind and 'img' in results:
                results['img'] = pixels_of(results['img'])
            results = step(results)
            if results is None:
                return None
        return results


def takes_deferred(transform: BaseTransform) -> bool:
    """Tell whether a transform never looks at the pixels of a view.

    Args:
        transform (BaseTransform): The transform.

    Returns:
        bool: False if it may.
    """
    if type(transform) is RandomApply:
        return all(map(takes_deferred, transform.transforms.transforms))
    return type(transform) in _TAKE_DEFERRED
