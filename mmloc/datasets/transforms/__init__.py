# Copyright (c) mmloc contributors. All rights reserved.
from .cutout import CutoutInBoxes
from .difficult import IncludeDifficult
from .geometric import RandomFlip, RandomResizedCrop, Resize
from .instances import AugmentBoxes, PackRegionInputs
from .keys import SetKeys
from .loading import LoadImage, UnreadableImageError
from .matches import SelectMatches
from .paste import PasteInstance
from .patches import CutPatch, RandomPatch
from .photometric import (
    ColorJitter,
    DeferPhotometric,
    GaussianBlur,
    RandomGrayscale,
    Solarize,
)
from .proposals import GenerateProposals, LoadProposals
from .views import MultiBranch, MultiView

__all__ = [
    'AugmentBoxes', 'ColorJitter', 'CutPatch', 'CutoutInBoxes',
    'DeferPhotometric', 'GaussianBlur', 'GenerateProposals',
    'IncludeDifficult', 'LoadImage', 'LoadProposals', 'MultiBranch',
    'MultiView', 'PackRegionInputs', 'PasteInstance', 'RandomFlip',
    'RandomGrayscale', 'RandomPatch', 'RandomResizedCrop', 'Resize',
    'SelectMatches', 'SetKeys', 'Solarize', 'UnreadableImageError'
]
