# Parts of a detector whose modules are pretrained, for configs to refer to as
# _base_.pretrained: everything is trained on with SyncBN, in front of the
# predictors are four convolutions and one fully connected layer, and norms do
# not decay. This is the published transfer of InsLoc and of SoCo, both by
# detectron2, which leaves norms out of the decay unless told otherwise.
sync_bn = dict(type='SyncBN', requires_grad=True)
pretrained = dict(
    backbone=dict(
        frozen_stages=-1, norm_cfg=sync_bn, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=sync_bn),
    bbox_head=dict(
        type='ConvFCBBoxHead',
        num_shared_convs=4,
        num_shared_fcs=1,
        norm_cfg=sync_bn),
    optim_wrapper=dict(paramwise_cfg=dict(norm_decay_mult=0.)))

# The model of a detector on the stride-16 map (C4), over mmdet's, which is
# made for weights of Caffe: images and convolutions as in the pretraining, and
# a new norm behind the last stage, as in MoCo's recipe.
pretrained_c4 = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(pretrained['backbone'], style='pytorch'),
    roi_head=dict(
        shared_head=dict(
            type='mmloc.ExtraNormResLayer',
            style='pytorch',
            norm_cfg=sync_bn,
            norm_eval=False)),
    # detectron2 also trains on anchors that stick out of the image.
    train_cfg=dict(rpn=dict(allowed_border=-1)))
