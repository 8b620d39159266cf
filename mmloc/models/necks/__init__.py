# Copyright (c) mmloc contributors. All rights reserved.
from .region_encoder import AllLevelRoIExtractor, RegionEncoder

__all__ = ['AllLevelRoIExtractor', 'RegionEncoder']
