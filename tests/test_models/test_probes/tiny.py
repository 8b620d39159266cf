# Copyright (c) mmloc contributors. All rights reserved.
"""Networks of a few channels with the parts of a detector."""
import torch

from mmloc.registry import MODELS

PREPROCESSOR = dict(
    type='DetDataPreprocessor', mean=[128.] * 3, std=[64.] * 3)
BACKBONE = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
NECK = dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=4, num_outs=4)
ROI_HEAD = dict(
    type='mmloc.RegionEncoder',
    bbox_roi_extractor=dict(
        type='mmloc.AllLevelRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
        out_channels=4,
        featmap_strides=[4, 8, 16, 32]),
    bbox_head=dict(
        type='ConvFCBBoxHead',
        num_shared_convs=1,
        num_shared_fcs=1,
        in_channels=4,
        conv_out_channels=4,
        fc_out_channels=8,
        norm_cfg=dict(type='BN')))
PROJECTOR = dict(type='Linear', in_features=8, out_features=6)


def make_network(**cfg):
    """A probe; by default only a backbone."""
    torch.manual_seed(0)
    cfg = dict(
        type='mmloc.BoxFeatureExtractor',
        data_preprocessor=PREPROCESSOR,
        backbone=BACKBONE) | cfg
    return MODELS.build(cfg).eval()


def make_pretraining():
    """A probe with all parts of a pretraining."""
    return make_network(neck=NECK, roi_head=ROI_HEAD, projector=PROJECTOR)
