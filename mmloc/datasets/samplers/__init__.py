# Copyright (c) mmloc contributors. All rights reserved.
from .reproducible import ReproducibleBatchSampler, sow

__all__ = ['ReproducibleBatchSampler', 'sow']
