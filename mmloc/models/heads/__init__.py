# Copyright (c) mmloc contributors. All rights reserved.
from .insloc_head import InsLocHead

__all__ = ['InsLocHead']
