"""InsLoc, ResNet-50 FPN, 200 epochs of ImageNet-1k, as published.

    bash tools/dist_train.sh \
        configs/insloc/insloc_r50_fpn_8xb32-coslr-200e_in1k.py 8

Hardware of the publication: 8 GPUs. Its detector (Mask R-CNN R50-FPN, COCO
1x) has 41.4 box AP and 37.1 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/insloc_r50_fpn.py',
    '../_base_/datasets/insloc.py',
    '../_base_/schedules/insloc_coslr-200e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
