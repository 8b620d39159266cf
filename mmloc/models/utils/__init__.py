# Copyright (c) mmloc contributors. All rights reserved.
from .feature_queue import FeatureQueue
from .matching import assign_levels, flatten_ids, match_by_id
from .momentum import MomentumTarget
from .negatives import negatives_log_sum_exp
from .parts import norm_by_parts
from .precision import full_precision
from .roi_pooling import (
    axis_weights,
    drop_padding,
    pad_boxes,
    pool_by_kernel,
    pool_by_matmul,
)
from .shuffle import SampleShuffle
from .spread import effective_rank, relative_std

__all__ = [
    'FeatureQueue', 'MomentumTarget', 'SampleShuffle', 'assign_levels',
    'axis_weights', 'drop_padding', 'effective_rank', 'flatten_ids',
    'full_precision', 'match_by_id', 'negatives_log_sum_exp',
    'norm_by_parts', 'pad_boxes', 'pool_by_kernel', 'pool_by_matmul',
    'relative_std'
]
