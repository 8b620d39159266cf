"""SoCo-C4 on the toy set: two views. See soco_r18_fpn_toy.py.

The network has the full width of a ResNet-18, since mmdet's last stage as a
RoI head knows no other.
"""
_base_ = './soco_r18_fpn_toy.py'

model = dict(
    backbone=dict(
        base_channels=64,
        stem_channels=64,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2, )),
    neck=None,
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=14),
            out_channels=256,
            featmap_strides=[16]),
        shared_head=dict(
            type='mmloc.ResLayer',
            depth=18,
            norm_cfg=_base_.norm_cfg,
            norm_eval=False),
        bbox_head=dict(
            _delete_=True,
            type='BBoxHead',
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=512)),
    projector=dict(in_channels=512),
    pairs=[('view1', 'view2')],
    head=dict(thresholds=None))

train_pipeline = _base_.train_pipeline
train_pipeline[-1].views.view2.transforms[0].crop_ratio_range = (0.6, 1.0)
train_pipeline[-1].views.pop('view3')
train_pipeline[-1].select.pairs.pop()
train_pipeline[-1].select.pop('jitter')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
