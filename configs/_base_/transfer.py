# Parts of the protocols in configs/transfer, for them to refer to as
# _base_.fpn, _base_.c4 and _base_.dense. Everything is trained on with SyncBN,
# whose statistics are estimated anew before each evaluation, and norms do not
# decay: the published transfer of InsLoc and of SoCo, both by detectron2,
# which leaves norms out of the decay unless told otherwise. Weights are new,
# as in starts/scratch.py.
_base_ = './custom_hooks.py'

custom_hooks = [*_base_.custom_hooks, dict(type='mmloc.PreciseBNHook')]

sync_bn = dict(type='SyncBN', requires_grad=True)
no_norm_decay = dict(paramwise_cfg=dict(norm_decay_mult=0.))

# One-stage: what a start does not bring is mmdet's.
dense = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=sync_bn,
        norm_eval=False,
        style='pytorch',
        init_cfg=None),
    neck=dict(norm_cfg=sync_bn))

# Two-stage with FPN: in front of the predictors are four convolutions and one
# fully connected layer.
fpn = dict(
    dense,
    roi_head=dict(
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=4,
            num_shared_fcs=1,
            norm_cfg=sync_bn)))

# Two-stage on the stride-16 map (C4), over mmdet's, which is made for weights
# of Caffe. A new norm behind the last stage, as in MoCo's recipe.
c4 = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dense['backbone'],
    roi_head=dict(
        shared_head=dict(
            type='mmloc.ExtraNormResLayer',
            style='pytorch',
            norm_cfg=sync_bn,
            norm_eval=False,
            init_cfg=None)),
    # detectron2 also trains on anchors that stick out of the image.
    train_cfg=dict(rpn=dict(allowed_border=-1)))
