# Copyright (c) mmloc contributors. All rights reserved.
from .base import MomentumRegionLearner
from .insloc import InsLoc
from .soco import SoCo

__all__ = ['InsLoc', 'MomentumRegionLearner', 'SoCo']
