# SoCo with ResNet-50 and FPN, as published (NeurIPS 2021 and its code).
# Weights start as there: backbone Kaiming fan-out with the last norm layer of
# each block at 0, FPN Kaiming fan-out (the published code never calls its
# Xavier initialiser), head and MLPs as PyTorch leaves them. SyncBN becomes BN
# where there is one process.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='mmloc.SoCo',
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
        zero_init_residual=True,
        style='pytorch'),
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        norm_cfg=norm_cfg,
        num_outs=4,
        init_cfg=dict(type='Kaiming', layer='Conv2d')),
    roi_head=dict(
        type='mmloc.RegionEncoder',
        bbox_roi_extractor=dict(
            type='mmloc.AllLevelRoIExtractor',
            roi_layer=dict(
                type='RoIAlign', output_size=7, sampling_ratio=0,
                aligned=True),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
            # The published code multiplies relative coordinates by the sides
            # of the maps.
            stretch_to_maps=True),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=4,
            num_shared_fcs=1,
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            norm_cfg=norm_cfg,
            # PyTorch's own initialisation, in place of mmcv's and mmdet's.
            init_cfg=dict(
                type='Kaiming',
                layer=['Conv2d', 'Linear'],
                a=5**0.5,
                mode='fan_in',
                nonlinearity='leaky_relu',
                distribution='uniform'))),
    projector=dict(
        type='mmloc.MLP',
        in_channels=1024,
        hid_channels=4096,
        out_channels=256,
        norm_cfg=norm_cfg),
    predictor=dict(
        type='mmloc.MLP',
        in_channels=256,
        hid_channels=4096,
        out_channels=256,
        norm_cfg=norm_cfg),
    # Each pair has its own boxes, see SelectMatches in the data config.
    pairs=[('view1', 'view2'), ('view1', 'view3')],
    # Sizes are measured in whole pixels, as published.
    head=dict(
        type='mmloc.SoCoHead',
        thresholds=(48, 96, 192, 224),
        inclusive=True),
    # momentum in mmengine's sense: the paper's 0.99, rising to 1.
    target=dict(type='mmloc.MomentumTarget', momentum=0.01, end_momentum=0.))
