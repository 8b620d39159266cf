# Copyright (c) mmloc contributors. All rights reserved.
from .loading import LoadImage, UnreadableImageError

__all__ = ['LoadImage', 'UnreadableImageError']
