# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmengine.model import revert_sync_batchnorm
from torch import nn

from mmloc.models import ExtraNormResLayer


def _layer(**kwargs):
    settings = dict(depth=18, stage=1, norm_cfg=dict(type='BN'))
    return ExtraNormResLayer(**(settings | kwargs))


@pytest.mark.parametrize(('depth', 'channels'), [(18, 128), (50, 512)])
def test_regions_leave_normalized(depth, channels):
    out = _layer(depth=depth)(torch.randn(8, channels // 2, 6, 6))
    assert out.shape == (8, channels, 3, 3)
    torch.testing.assert_close(
        out.mean((0, 2, 3)), torch.zeros(channels), atol=1e-5, rtol=0)
    std = out.std((0, 2, 3), unbiased=False)
    assert ((std - 1).abs() < 1e-2).all()


def test_is_the_base_class_with_an_identity_norm():
    layer = _layer()
    layer.eval()
    layer.extra_norm.eps = 0.  # running mean 0, variance 1
    x = torch.randn(2, 64, 4, 4)
    torch.testing.assert_close(layer(x), ResLayer.forward(layer, x))


def test_pretrained_layers_have_the_paths_of_mmdet():
    ours = _layer().state_dict()
    theirs = ResLayer(depth=18, stage=1).state_dict()
    assert {name for name in ours if name not in theirs} == {
        f'extra_norm.{name}' for name in nn.BatchNorm2d(1).state_dict()
    }
    assert all(ours[name].shape == theirs[name].shape for name in theirs)


@pytest.mark.parametrize('norm_eval', [False, True])
def test_norms_keep_their_statistics_only_when_told_to(norm_eval):
    layer = _layer(norm_eval=norm_eval)
    layer.train()
    norms = [m for m in layer.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.training for norm in norms} == {not norm_eval}


def test_trained_sync_bn_is_the_default_and_reverts_on_one_process():
    layer = _layer(norm_cfg=None)
    assert isinstance(layer.extra_norm, nn.SyncBatchNorm)
    layer = revert_sync_batchnorm(layer)
    layer(torch.randn(2, 64, 4, 4))
    assert layer.extra_norm.num_batches_tracked == 1
