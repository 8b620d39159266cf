# Copyright (c) mmloc contributors. All rights reserved.
"""Detection-aligned self-supervised pretraining on mmengine and mmdet."""
from .version import __version__

__all__ = ['__version__']
