# Twice the iterations of the 1x schedule.
_base_ = './mask-rcnn_r50-insloc-pre_fpn_1x_coco.py'

train_cfg = dict(max_iters=180000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0,
        end=1000),
    dict(
        type='MultiStepLR',
        begin=0,
        end=180000,
        by_epoch=False,
        milestones=[120000, 160000],
        gamma=0.1)
]
