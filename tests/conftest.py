# Copyright (c) mmloc contributors. All rights reserved.
import random

import matplotlib
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

matplotlib.use('agg')


@pytest.fixture(autouse=True)
def same_start():
    """Start every test from the same seeds and from mmdet's default scope."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
