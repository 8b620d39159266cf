# Copyright (c) mmloc contributors. All rights reserved.
from .extra_norm_bbox_head import ExtraNormBBoxHead
from .extra_norm_res_layer import ExtraNormResLayer
from .insloc_head import InsLocHead
from .res_layer import ResLayer
from .soco_head import SoCoHead

__all__ = [
    'ExtraNormBBoxHead', 'ExtraNormResLayer', 'InsLocHead', 'ResLayer',
    'SoCoHead'
]
