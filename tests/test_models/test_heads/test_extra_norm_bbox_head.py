# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from mmengine.model import revert_sync_batchnorm

from mmloc.models import ExtraNormBBoxHead


def _head(**kwargs):
    settings = dict(
        num_shared_convs=2, num_shared_fcs=1, in_channels=4,
        conv_out_channels=4, fc_out_channels=6, roi_feat_size=3,
        num_classes=5, norm_cfg=dict(type='BN'))
    return ExtraNormBBoxHead(**(settings | kwargs))


def test_predictors_see_normalized_features():
    torch.manual_seed(0)
    head = _head()
    seen = []
    head.fc_cls.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    scores, deltas = head(torch.randn(64, 4, 3, 3))
    assert scores.shape == (64, 6)
    assert deltas.shape == (64, 20)
    torch.testing.assert_close(
        seen[0].mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    # Up to the norm's epsilon; a feature that the ReLU keeps at 0 has none.
    std = seen[0].std(0, unbiased=False)
    assert ((std - 1).abs() < 1e-2).logical_or(std == 0).all()


def test_is_the_base_class_with_an_identity_norm():
    torch.manual_seed(0)
    head = _head().eval()
    x = torch.randn(3, 4, 3, 3)
    plain = super(ExtraNormBBoxHead, head).forward(x)
    head.extra_norm.eps = 0.  # running mean 0, variance 1
    for ours, theirs in zip(head(x), plain):
        torch.testing.assert_close(ours, theirs)


def test_pretrained_layers_have_the_paths_of_mmdet():
    names = set(_head().state_dict())
    assert {'shared_convs.0.conv.weight', 'shared_convs.1.bn.weight',
            'shared_fcs.0.weight', 'extra_norm.weight'} <= names
    assert 'shared_fcs.1.weight' not in names


def test_sync_bn_is_the_default_and_reverts_on_one_process():
    head = _head(norm_cfg=None)
    assert isinstance(head.extra_norm, torch.nn.SyncBatchNorm)
    head = revert_sync_batchnorm(head)
    assert head(torch.randn(4, 4, 3, 3))[0].shape == (4, 6)


@pytest.mark.parametrize('kwargs', [
    dict(num_shared_fcs=2),
    dict(num_shared_fcs=0, num_cls_fcs=1),
])
def test_other_shapes_are_refused(kwargs):
    with pytest.raises(ValueError, match='use ConvFCBBoxHead'):
        _head(**kwargs)
