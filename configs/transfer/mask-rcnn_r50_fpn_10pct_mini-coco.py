"""Mask R-CNN with FPN on 10 % of COCO's labels, evaluated on all of val2017.

10,000 iterations of 16 images, steps at 7,000 and 9,000 (SoCo's code). The
images are the first 11,726 of detectron2's list, as there; another choice is
one option, a random list of mmloc/datasets/label_lists:

    --cfg-options train_dataloader.dataset.order=mini_coco/fold1
"""
_base_ = './mask-rcnn_r50_fpn_1x_coco.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmloc.LabelSubset',
        dataset=_base_.train_dataloader.dataset,
        num=0.1,
        order=None,
        by_image_id=True,
        total=117266))

max_iters = 10000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iters, milestones=[7000, 9000])
default_hooks = dict(checkpoint=dict(interval=max_iters // 2))
