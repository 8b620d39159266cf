# Copyright (c) mmloc contributors. All rights reserved.
from .base import MomentumRegionLearner
from .insloc import InsLoc

__all__ = ['InsLoc', 'MomentumRegionLearner']
