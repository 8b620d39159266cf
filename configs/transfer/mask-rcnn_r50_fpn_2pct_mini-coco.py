"""Mask R-CNN with FPN on 2 % of COCO's labels, evaluated on all of val2017.

Nothing is published for 2 %. 2,800 iterations of 16 images follow from
those for 5 and 10 %, which are 1,000 and 900 for each percent (as are the
90,000 of the whole set, nearly); the steps are at the same shares of them as
for 5 %. Images and other choices of them as in
mask-rcnn_r50_fpn_10pct_mini-coco.py.
"""
_base_ = './mask-rcnn_r50_fpn_10pct_mini-coco.py'

train_dataloader = dict(dataset=dict(num=0.02))

max_iters = 2800
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iters, milestones=[2000, 2500])
default_hooks = dict(checkpoint=dict(interval=max_iters // 2))
