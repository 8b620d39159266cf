# Copyright (c) mmloc contributors. All rights reserved.
from .instance_metrics import CityScapesMetric, LVISMetric
from .patch_localization_metric import PatchLocalizationMetric
from .roi_knn_metric import RoIKNNMetric, vote

__all__ = [
    'CityScapesMetric', 'LVISMetric', 'PatchLocalizationMetric',
    'RoIKNNMetric', 'vote'
]
