# Copyright (c) mmloc contributors. All rights reserved.
"""Changes of colours, drawn in the loader and carried out there or later."""
from .kernels import NEUTRAL
from .parameters import KEY, apply, change, stack, unchanged

__all__ = ['KEY', 'NEUTRAL', 'apply', 'change', 'stack', 'unchanged']
