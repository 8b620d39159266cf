"""SoCo, ResNet-50 FPN, 100 epochs of ImageNet-1k, as published.

    python tools/dataset_tools/generate_proposals.py \
        data/imagenet/train data/imagenet/train.mmprop
    NNODES=2 NODE_RANK=0 MASTER_ADDR=... bash tools/dist_train.sh \
        configs/soco/soco_r50_fpn_16xb128-coslr-100e_in1k.py 8

On other than 16 GPUs add --auto-scale-lr. Hardware of the publication: 2
nodes of 8 GPUs. Its detector (Mask R-CNN R50-FPN, COCO 1x) has 42.3 box AP
and 37.6 mask AP. Here: not run.
"""
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco.py',
    '../_base_/schedules/soco_coslr-100e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=3))
