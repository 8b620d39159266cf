# InsLoc with ResNet-50 C4. Weights for it were published, code was not; what
# is inferred here, and from what, stands in configs/insloc/README.md.
_base_ = './insloc_r50_fpn.py'

model = dict(
    backbone=dict(
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, )),
    neck=None,
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=14),
            out_channels=1024,
            featmap_strides=[16]),
        shared_head=dict(
            type='mmloc.ResLayer',
            depth=50,
            stage=3,
            stride=2,
            style='pytorch',
            norm_cfg=_base_.norm_cfg,
            norm_eval=False,
            zero_init_residual=False),
        bbox_head=dict(
            _delete_=True,
            type='BBoxHead',
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=2048)),
    # MoCo-v2's: no norm between the layers, PyTorch's initialisation.
    projector=dict(
        _delete_=True,
        type='mmloc.MLP',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    head=dict(queue=dict(num_levels=1), level_names=['c4']),
    # The only level is the one with the box augmentation.
    augmented_levels=(0, ),
    init_cfg=None)
