# Copyright (c) mmloc contributors. All rights reserved.
"""Frozen networks that are questioned about boxes."""
from .box_feature_extractor import BoxFeatureExtractor
from .patch_localizer import PatchLocalizer
from .sources import box_features, feature_maps

__all__ = [
    'BoxFeatureExtractor', 'PatchLocalizer', 'box_features', 'feature_maps'
]
