# InsLoc with ResNet-50 and FPN, as published (CVPR 2021 and its code).
# `style`, the norm layers and `zero_init_residual` follow the released
# configuration; weights start as there (convolutions Kaiming fan-out, FPN and
# shared fully connected layers Xavier, projection N(0, 0.01)).
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='mmloc.InsLoc',
    data_preprocessor=dict(
        type='mmloc.MultiViewDataPreprocessor',
        data_preprocessor=dict(
            type='mmloc.PhotometricDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True)),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        zero_init_residual=False,
        style='pytorch'),
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        norm_cfg=norm_cfg,
        num_outs=4),
    roi_head=dict(
        type='mmloc.RegionEncoder',
        bbox_roi_extractor=dict(
            type='mmloc.AllLevelRoIExtractor',
            roi_layer=dict(
                type='RoIAlign', output_size=7, sampling_ratio=0,
                aligned=True),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=4,
            num_shared_fcs=2,
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            norm_cfg=norm_cfg)),
    projector=dict(type='Linear', in_features=1024, out_features=128),
    head=dict(
        type='mmloc.InsLocHead',
        queue=dict(
            type='mmloc.FeatureQueue',
            num_levels=4,
            channels=128,
            length=65536),
        temperature=0.2,
        level_names=['p2', 'p3', 'p4', 'p5']),
    # momentum in mmengine's sense: the paper's 0.999.
    target=dict(type='mmloc.MomentumTarget', momentum=0.001),
    # The box augmentation is applied to the query on P5 only.
    augmented_levels=(3, ),
    init_cfg=dict(type='Normal', std=0.01, override=dict(name='projector')))
