"""InsLoc, ResNet-50 FPN, 400 epochs of ImageNet-1k, as published.

Hardware of the publication: 8 GPUs. Its detector (Mask R-CNN R50-FPN, COCO
1x) has 42.0 box AP and 37.6 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/insloc_r50_fpn.py',
    '../_base_/datasets/insloc.py',
    '../_base_/schedules/insloc_coslr-400e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
