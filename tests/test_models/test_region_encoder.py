# Copyright (c) mmloc contributors. All rights reserved.
import torch
from mmcv.ops import RoIAlign
from mmengine.registry import init_default_scope
from torch import nn

from mmloc.models import AllLevelRoIExtractor
from mmloc.registry import MODELS

ROI_LAYER = dict(
    type='RoIAlign', output_size=2, sampling_ratio=0, aligned=True)


def test_every_region_on_every_level():
    torch.manual_seed(0)
    extractor = AllLevelRoIExtractor(ROI_LAYER, 3, [4, 8])
    feats = (torch.randn(2, 3, 16, 16), torch.randn(2, 3, 8, 8))
    rois = [
        torch.tensor([[0, 1., 2., 30., 40.], [1, 5., 5., 9., 9.]]),
        torch.tensor([[1, 0., 0., 60., 60.], [0, 5., 5., 9., 9.]])
    ]
    pooled = extractor(feats, rois)
    for level, stride in enumerate((4, 8)):
        align = RoIAlign(2, 1 / stride, 0, aligned=True)
        torch.testing.assert_close(pooled[level],
                                   align(feats[level], rois[level]))


def test_pools_in_float32_under_autocast():
    extractor = AllLevelRoIExtractor(ROI_LAYER, 3, [4])
    feats = torch.randn(1, 3, 16, 16).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rois = torch.tensor([[0, 1.3, 2., 30., 40.]])
        pooled, = extractor((feats, ), [rois])
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
