# Copyright (c) mmloc contributors. All rights reserved.
from .feature_queue import FeatureQueue
from .matching import match_by_id
from .momentum import MomentumTarget
from .shuffle import SampleShuffle

__all__ = ['FeatureQueue', 'MomentumTarget', 'SampleShuffle', 'match_by_id']
