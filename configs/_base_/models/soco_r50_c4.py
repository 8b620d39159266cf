# SoCo with ResNet-50 C4: regions are pooled from the stride-16 map and the
# last stage of the backbone works on them, at `roi_head.shared_head` as in
# mmdet's C4 detectors.
_base_ = './soco_r50_fpn.py'

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
            norm_eval=False),
        bbox_head=dict(
            _delete_=True,
            type='BBoxHead',
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=2048)),
    projector=dict(in_channels=2048),
    pairs=[('view1', 'view2')],
    head=dict(thresholds=None))
