# Copyright (c) mmloc contributors. All rights reserved.
from copy import deepcopy

import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.structures.bbox import bbox2roi
from mmengine.registry import init_default_scope
from torch import nn

from mmloc.models import AllLevelRoIExtractor, AssignedLevelRoIExtractor
from mmloc.registry import MODELS

ROI_LAYER = dict(
    type='RoIAlign', output_size=2, sampling_ratio=0, aligned=True)
BOXES = torch.tensor([[1., 2., 30., 40.], [5., 5., 9., 9.],
                      [0., 0., 60., 60.], [-9., 3., 70., 50.]])


@pytest.mark.parametrize('by_matmul', [False, True])
def test_every_region_on_every_level(by_matmul):
    torch.manual_seed(0)
    extractor = AllLevelRoIExtractor(
        ROI_LAYER, 3, [4, 8], by_matmul=by_matmul)
    feats = (torch.randn(2, 3, 16, 16), torch.randn(2, 3, 8, 8))
    first = [BOXES[:1], BOXES[1:3]]
    second = [BOXES[3:], BOXES[:0]]
    sets = [[first, first], [first, second]]
    pooled = extractor(feats, sets, (64, 64))
    for box_set, levels in zip(sets, pooled):
        for level, stride in enumerate((4, 8)):
            align = RoIAlign(2, 1 / stride, 0, aligned=True)
            torch.testing.assert_close(
                levels[level], align(feats[level], bbox2roi(box_set[level])))


@pytest.mark.parametrize('by_matmul', [False, True])
def test_stretched_view_fills_maps_of_rounded_up_sides(by_matmul):
    extractor = AllLevelRoIExtractor(
        ROI_LAYER, 1, [32], stretch_to_maps=True, by_matmul=by_matmul)
    # A view of 112 pixels has a map of 4 x 4; its right half is columns 2, 3.
    feats = torch.arange(4.).repeat(1, 1, 4, 1)
    sets = [[[torch.tensor([[56., 0., 112., 112.]])]]]
    (stretched, ), = extractor((feats, ), sets, (112, 112))
    torch.testing.assert_close(stretched[0, 0, 0], torch.tensor([2., 3.]))
    extractor.stretch_to_maps = False
    (by_stride, ), = extractor((feats, ), sets, (112, 112))
    assert (by_stride < stretched).all()


def test_assigned_level_gives_each_region_its_levels_features():
    torch.manual_seed(0)
    feats = (torch.randn(2, 3, 16, 16), torch.randn(2, 3, 8, 8))
    # On the first, the second and no level.
    boxes = [
        torch.tensor([[5., 5., 20., 20.]]),
        torch.tensor([[0., 0., 60., 30.], [0., 0., 64., 64.]])
    ]
    levels, = AllLevelRoIExtractor(ROI_LAYER, 3, [4, 8])(feats, [[boxes] * 2],
                                                         (64, 64))
    extractor = AssignedLevelRoIExtractor(
        ROI_LAYER, 3, [4, 8], thresholds=(20, 50))
    (pooled, ), = extractor(feats, [[boxes] * 2], (64, 64))
    expected = torch.stack([levels[0][0], levels[1][1], levels[1][2]])
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize('by_matmul', [False, True])
def test_a_level_without_regions_still_has_a_gradient(by_matmul):
    feats = tuple(
        torch.randn(1, 3, side, side, requires_grad=True) for side in (16, 8))
    extractor = AllLevelRoIExtractor(
        ROI_LAYER, 3, [4, 8], by_matmul=by_matmul)
    (first, none), = extractor(feats, [[[BOXES], [BOXES[:0]]]], (64, 64))
    assert none.shape == (0, 3, 2, 2)
    (first.sum() + none.sum()).backward()
    assert feats[0].grad.abs().sum() > 0
    assert feats[1].grad is not None
    assert not feats[1].grad.any()


def test_matmul_pools_averages_only():
    with pytest.raises(ValueError, match='average RoIAlign only'):
        AllLevelRoIExtractor(dict(ROI_LAYER, pool_mode='max'), 3, [4])


def test_assigned_level_needs_a_threshold_per_level():
    with pytest.raises(ValueError, match='one threshold per level'):
        AssignedLevelRoIExtractor(ROI_LAYER, 3, [4, 8])


def test_pools_in_float32_under_autocast():
    extractor = AllLevelRoIExtractor(ROI_LAYER, 3, [4])
    feats = torch.randn(1, 3, 16, 16).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        sets = [[[torch.tensor([[1.3, 2., 30., 40.]])]]]
        (pooled, ), = extractor((feats, ), sets, (64, 64))
    assert pooled.dtype == torch.float32


def test_box_head_without_predictors():
    init_default_scope('mmdet')
    encoder = MODELS.build(
        dict(
            type='mmloc.RegionEncoder',
            bbox_roi_extractor=dict(
                type='mmloc.AllLevelRoIExtractor',
                roi_layer=ROI_LAYER,
                out_channels=3,
                featmap_strides=[4]),
            bbox_head=dict(
                type='ConvFCBBoxHead',
                num_shared_fcs=1,
                in_channels=3,
                fc_out_channels=5,
                roi_feat_size=2)))
    encoder.init_weights()
    assert isinstance(encoder.bbox_head.fc_cls, nn.Identity)
    assert not hasattr(encoder.bbox_head, 'fc_reg')
    x = torch.randn(4, 3, 2, 2)
    expected = encoder.bbox_head.shared_fcs[0](x.flatten(1)).relu()
    torch.testing.assert_close(encoder(x), expected)


def test_last_stage_works_on_regions():
    """C4: res5 and average pooling make one vector of a region."""
    init_default_scope('mmdet')
    encoder = MODELS.build(
        dict(
            type='mmloc.RegionEncoder',
            bbox_roi_extractor=dict(
                type='mmloc.AllLevelRoIExtractor',
                roi_layer=dict(ROI_LAYER, output_size=4),
                out_channels=256,
                featmap_strides=[16]),
            shared_head=dict(type='ResLayer', depth=18, norm_eval=False),
            bbox_head=dict(
                type='BBoxHead',
                with_avg_pool=True,
                roi_feat_size=2,
                in_channels=512))).eval()
    x = torch.randn(3, 256, 4, 4)
    expected = encoder.shared_head.layer4(x).mean(dim=(2, 3))
    torch.testing.assert_close(encoder(x), expected)


HEAD = dict(
    in_channels=3,
    conv_out_channels=4,
    fc_out_channels=5,
    roi_feat_size=2,
    norm_cfg=dict(type='BN'))


@pytest.mark.parametrize(('head', 'fc_calls'), [
    (dict(type='ConvFCBBoxHead', num_shared_convs=1, num_shared_fcs=2), 1),
    (dict(type='ConvFCBBoxHead', num_shared_convs=1, num_shared_fcs=1,
          with_avg_pool=True), 1),
    # Fully connected layers that other layers follow.
    (dict(type='ConvFCBBoxHead', num_shared_fcs=1, num_cls_fcs=1), 3),
    (dict(type='mmloc.ExtraNormBBoxHead', num_shared_fcs=1), 3),
])
def test_parts_pass_known_layers_at_once(head, fc_calls):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    encoder = MODELS.build(
        dict(
            type='mmloc.RegionEncoder',
            bbox_roi_extractor=dict(
                type='mmloc.AllLevelRoIExtractor',
                roi_layer=ROI_LAYER,
                out_channels=3,
                featmap_strides=[4]),
            bbox_head=dict(HEAD, **head))).double()
    if head['type'] == 'mmloc.ExtraNormBBoxHead':
        encoder.bbox_head.fc_reg = nn.Identity()
    alone = deepcopy(encoder)
    calls = []
    encoder.bbox_head.shared_fcs[0].register_forward_hook(
        lambda *_: calls.append(1))
    parts = torch.randn(9, 3, 2, 2).double().split([4, 2, 3])
    torch.testing.assert_close(
        encoder.forward_parts(parts), [alone(part) for part in parts])
    torch.testing.assert_close(encoder.state_dict(), alone.state_dict())
    assert len(calls) == fc_calls
