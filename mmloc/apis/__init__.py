# Copyright (c) mmloc contributors. All rights reserved.
"""Networks in the hands of people: detections, features, similarities."""
from .detections import build_inferencer, draw_detected
from .features import BoxSimilarity, box_similarity, extract_box_features
from .networks import init_network

__all__ = [
    'BoxSimilarity', 'box_similarity', 'build_inferencer', 'draw_detected',
    'extract_box_features', 'init_network'
]
