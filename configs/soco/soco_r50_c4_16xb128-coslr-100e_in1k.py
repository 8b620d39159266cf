"""SoCo, ResNet-50 C4, 100 epochs of ImageNet-1k, as published.

Hardware of the publication: 2 nodes of 8 GPUs. Its detector (Mask R-CNN
R50-C4, COCO 1x) has 40.4 box AP and 34.9 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/soco_r50_c4.py',
    '../_base_/datasets/soco_c4.py',
    '../_base_/schedules/soco_coslr-100e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
