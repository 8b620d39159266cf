# Copyright (c) mmloc contributors. All rights reserved.
from .instances import AugmentBoxes, PackRegionInputs
from .loading import LoadImage, UnreadableImageError
from .paste import PasteInstance
from .photometric import ColorJitter, RandomGrayscale

__all__ = [
    'AugmentBoxes', 'ColorJitter', 'LoadImage', 'PackRegionInputs',
    'PasteInstance', 'RandomGrayscale', 'UnreadableImageError'
]
