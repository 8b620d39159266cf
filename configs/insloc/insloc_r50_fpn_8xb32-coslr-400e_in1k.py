"""InsLoc, ResNet-50 FPN, 400 epochs of ImageNet-1k, as published.

Hardware of the publication: 8 GPUs. Its detector (Mask R-CNN R50-FPN, COCO
1x) has 42.0 box AP and 37.6 mask AP. Here: not run.
"""
_base_ = './insloc_r50_fpn_8xb32-coslr-200e_in1k.py'

param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=400,
        eta_min=0.,
        by_epoch=True,
        begin=0,
        end=400)
]
train_cfg = dict(max_epochs=400)
