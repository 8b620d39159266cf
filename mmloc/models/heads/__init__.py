# Copyright (c) mmloc contributors. All rights reserved.
from .extra_norm_bbox_head import ExtraNormBBoxHead
from .insloc_head import InsLocHead

__all__ = ['ExtraNormBBoxHead', 'InsLocHead']
