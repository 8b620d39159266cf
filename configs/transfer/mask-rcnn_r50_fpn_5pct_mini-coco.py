"""Mask R-CNN with FPN on 5 % of COCO's labels, evaluated on all of val2017.

5,500 iterations of 16 images, steps at 4,000 and 5,000 (SoCo's code). Images
and other choices of them as in mask-rcnn_r50_fpn_10pct_mini-coco.py.
"""
_base_ = './mask-rcnn_r50_fpn_10pct_mini-coco.py'

train_dataloader = dict(dataset=dict(num=0.05))

max_iters = 5500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iters, milestones=[4000, 5000])
default_hooks = dict(checkpoint=dict(interval=max_iters // 2))
