"""SoCo, ResNet-50 FPN, 400 epochs of ImageNet-1k, as published.

Unlike the released script for 100 epochs, that for 400 has no cutout.
Hardware of the publication: 2 nodes of 8 GPUs. Its detector (Mask R-CNN
R50-FPN, COCO 1x) has 43.0 box AP and 38.2 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco.py',
    '../_base_/schedules/soco_coslr-400e.py',
    '../_base_/default_runtime.py',
]

train_pipeline = _base_.train_pipeline
train_pipeline[-1].views.view2.then = _base_.others
train_pipeline[-1].views.view3.then = _base_.others
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
