# Faster R-CNN on the toy set's few labels, as wide as insloc_r18_fpn_toy.py.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../../_base_/datasets/toy_detection.py',
    '../../_base_/default_runtime.py',
]

norm_cfg = dict(type='BN', requires_grad=True)
num_classes = 8
model = dict(
    backbone=dict(
        depth=18,
        base_channels=16,
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=None),
    neck=dict(
        in_channels=[16, 32, 64, 128],
        out_channels=32,
        num_outs=4,
        norm_cfg=norm_cfg),
    rpn_head=dict(
        in_channels=32,
        feat_channels=32,
        # Boxes of 16 to 128 px in images of 128.
        anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32])),
    roi_head=dict(
        # The thresholds between levels shrink with the images.
        bbox_roi_extractor=dict(out_channels=32, finest_scale=14),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=128,
            norm_cfg=norm_cfg,
            num_classes=num_classes)),
    # Few regions: the RoI head takes most of the time on a CPU.
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=500, max_per_img=100),
        rcnn=dict(sampler=dict(num=48))),
    test_cfg=dict(
        rpn=dict(nms_pre=500, max_per_img=100), rcnn=dict(max_per_img=50)))

max_epochs = 14
train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs=max_epochs,
    val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_epochs,
        by_epoch=True,
        milestones=[10, 13],
        gamma=0.1)
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05))
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=max_epochs, max_keep_ckpts=1))

load_from = 'work_dirs/insloc_r18_fpn_toy/epoch_3.pth'
