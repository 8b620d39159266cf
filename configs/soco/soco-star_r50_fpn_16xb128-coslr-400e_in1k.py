"""SoCo* (four views), ResNet-50 FPN, 400 epochs of ImageNet-1k, as published.

Hardware of the publication: 2 nodes of 8 GPUs. Its detector (Mask R-CNN
R50-FPN, COCO 1x) has 43.2 box AP and 38.4 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco_star.py',
    '../_base_/schedules/soco_coslr-400e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    pairs=[('view1', 'view2'), ('view1', 'view3'), ('view1', 'view4')])
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
