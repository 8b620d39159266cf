# Copyright (c) mmloc contributors. All rights reserved.
from .instances import AugmentBoxes, PackRegionInputs
from .loading import LoadImage, UnreadableImageError
from .paste import PasteInstance

__all__ = [
    'AugmentBoxes', 'LoadImage', 'PackRegionInputs', 'PasteInstance',
    'UnreadableImageError'
]
