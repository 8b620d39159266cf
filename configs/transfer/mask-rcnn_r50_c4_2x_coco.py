# Twice the iterations of the 1x schedule.
_base_ = './mask-rcnn_r50_c4_1x_coco.py'

max_iter = 180000
train_cfg = dict(max_iters=max_iter)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iter, milestones=[120000, 160000])
