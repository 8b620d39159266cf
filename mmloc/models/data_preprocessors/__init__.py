# Copyright (c) mmloc contributors. All rights reserved.
from .multi_view import MultiViewDataPreprocessor
from .photometric import PhotometricDataPreprocessor

__all__ = ['MultiViewDataPreprocessor', 'PhotometricDataPreprocessor']
