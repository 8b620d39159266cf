# Copyright (c) mmloc contributors. All rights reserved.
"""Crops, resizes and flips, noted in the loader and carried out later."""
from .deferred import KEY, DeferredImage, carry_out, pixels_of, size_after
from .kernels import flip, resize_antialiased

__all__ = [
    'KEY', 'DeferredImage', 'carry_out', 'flip', 'pixels_of',
    'resize_antialiased', 'size_after'
]
