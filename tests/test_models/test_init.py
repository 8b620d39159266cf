# Copyright (c) mmloc contributors. All rights reserved.
"""The initial weights of the published InsLoc-FPN."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmloc.registry import MODELS

CONFIG = Path(__file__).parents[2] / 'configs/_base_/models/insloc_r50_fpn.py'


@pytest.fixture(scope='module')
def params():
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIG).model
    cfg.head.queue.length = 8
    model = MODELS.build(cfg)
    model.init_weights()
    return dict(model.named_parameters())


@pytest.mark.parametrize(
    ('name', 'std'),
    [
        # Normal, fan-out.
        ('backbone.layer2.0.conv2.weight', (2 / (9 * 128))**0.5),
        ('roi_head.bbox_head.shared_convs.0.conv.weight',
         (2 / (9 * 256))**0.5),
        # Xavier uniform.
        ('neck.fpn_convs.0.conv.weight', (2 / (9 * 512))**0.5),
        ('roi_head.bbox_head.shared_fcs.0.weight',
         (2 / (12544 + 1024))**0.5),
        ('projector.weight', 0.01),
    ])
def test_spread(params, name, std):
    assert params[name].std().item() == pytest.approx(std, rel=0.02)


def test_residual_branches_start_open(params):
    assert (params['backbone.layer3.5.bn3.weight'] == 1).all()


def test_projection_bias_starts_at_zero(params):
    assert (params['projector.bias'] == 0).all()
