# Copyright (c) mmloc contributors. All rights reserved.
from .feature_queue import FeatureQueue
from .matching import assign_levels, flatten_ids, match_by_id
from .momentum import MomentumTarget
from .precision import full_precision
from .shuffle import SampleShuffle
from .spread import effective_rank, relative_std

__all__ = [
    'FeatureQueue', 'MomentumTarget', 'SampleShuffle', 'assign_levels',
    'effective_rank', 'flatten_ids', 'full_precision', 'match_by_id',
    'relative_std'
]
