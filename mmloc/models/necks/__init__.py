# Copyright (c) mmloc contributors. All rights reserved.
from .mlp import MLP
from .region_encoder import (
    AllLevelRoIExtractor,
    AssignedLevelRoIExtractor,
    RegionEncoder,
)

__all__ = [
    'MLP', 'AllLevelRoIExtractor', 'AssignedLevelRoIExtractor', 'RegionEncoder'
]
