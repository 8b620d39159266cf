"""InsLoc, ResNet-50 C4, 400 epochs of ImageNet-1k.

Code and config of it were never published; README.md names what is inferred.
Hardware of the publication: 8 GPUs. Its detector (Mask R-CNN
R50-C4, COCO 1x) has 39.8 box AP and 34.7 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/insloc_r50_c4.py',
    '../_base_/datasets/insloc.py',
    '../_base_/schedules/insloc_coslr-400e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
