# Copyright (c) mmloc contributors. All rights reserved.
from .photometric import PhotometricDataPreprocessor

__all__ = ['PhotometricDataPreprocessor']
