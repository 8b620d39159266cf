# FCOS on COCO: data, schedule and norms of the RetinaNet next to this file,
# head and optimization of mmdet's fcos_r50-caffe_fpn_gn-head_1x_coco.py.
_base_ = './retinanet_r50_fpn_1x_coco.py'

model = dict(
    type='FCOS',
    neck=dict(add_extra_convs='on_output', relu_before_extra_convs=True),
    bbox_head=dict(
        _delete_=True,
        type='FCOSHead',
        num_classes=80,
        in_channels=256,
        strides=[8, 16, 32, 64, 128]),
    train_cfg=None)
optim_wrapper = dict(
    paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0.),
    clip_grad=dict(max_norm=35, norm_type=2))
