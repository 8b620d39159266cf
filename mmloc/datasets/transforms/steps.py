# Copyright (c) mmloc contributors. All rights reserved.
import copy
from collections.abc import Sequence

from mmcv.transforms import BaseTransform, Compose, RandomApply

from mmloc import photometric
from mmloc.resampling import pixels_of

from .cutout import CutoutInBoxes
from .geometric import RandomFlip, RandomResizedCrop, Resize
from .instances import AugmentBoxes, PackRegionInputs
from .matches import SelectMatches
from .paste import PasteInstance
from .photometric import (
    ColorJitter,
    GaussianBlur,
    RandomGrayscale,
    Solarize,
)

#: What works on images whose pixels are still to be made, if colours are
#: deferred, and never writes into pixels; of a subclass nobody knows.
_TAKE_DEFERRED = frozenset({
    AugmentBoxes, ColorJitter, CutoutInBoxes, GaussianBlur, PackRegionInputs,
    PasteInstance, RandomFlip, RandomGrayscale, RandomResizedCrop, Resize,
    SelectMatches, Solarize
})


class Steps(Compose):
    """Transforms of a view that shares its pixels, or is still to be made.

    Before a transform that might look at them the pixels are made, drawn
    colours included, and before the first one they are copied, since it
    might write into them.

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
        shared = True
        for step, blind in zip(self.transforms, self._blind):
            if not blind and 'img' in results:
                make_pixels(results, shared)
                shared = False
            results = step(results)
            if results is None:
                return None
        return results


def make_pixels(results: dict, shared: bool) -> None:
    """Carry out what was only noted of an image.

    Args:
        results (dict): Result dict with ``img``, whose pixels become real.
        shared (bool): Whether others have the same pixels, so that it gets
            a copy, of arrays and whatever else an image may be.

    Raises:
        ValueError: The order of the pipeline does not allow to put these
            colours off.
    """
    img = pixels_of(results['img'])
    results['img'] = img = copy.deepcopy(img) if shared else img
    vector = results.get(photometric.KEY)
    if vector is not None and vector[0]:
        vector, = photometric.stack([vector], img.shape[:2],
                                    [results.get('flip', False)])
        results['img'] = photometric.apply(img, vector)
        results[photometric.KEY] = photometric.unchanged()


def takes_deferred(transform: BaseTransform) -> bool:
    """Tell whether a transform neither reads nor writes a view's pixels.

    Args:
        transform (BaseTransform): The transform.

    Returns:
        bool: False if it may do so.
    """
    if type(transform) is RandomApply:
        return all(map(takes_deferred, transform.transforms.transforms))
    return type(transform) in _TAKE_DEFERRED
