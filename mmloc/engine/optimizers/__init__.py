# Copyright (c) mmloc contributors. All rights reserved.
from .autocast_optim_wrapper import AutocastOptimWrapper
from .lars import LARS
from .warmup_lr import WarmupLR

__all__ = ['LARS', 'AutocastOptimWrapper', 'WarmupLR']
