# ImageNet by a linear classifier of the pooled C5 of a frozen backbone, SoCo's
# recipe: 100 epochs of 256 images a step (8 GPUs x 32), 5 of them warm-up.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    'mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py',
    'mmpretrain::_base_/schedules/imagenet_sgd_coslr_100e.py',
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/custom_hooks.py',
]
start_family = 'classifier'

# Frozen are norms and their statistics too, which the published script lets
# move: see linear-probe_r50_8xb32-coslr-100e-moving-bn_in1k.py.
model = dict(
    data_preprocessor=dict(_base_.data_preprocessor),
    backbone=dict(frozen_stages=4))

max_epochs = 100
warmup_epochs = 5
optim_wrapper = dict(optimizer=dict(lr=30., weight_decay=0.))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - warmup_epochs,
        by_epoch=True,
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=3))
auto_scale_lr = dict(enable=False, base_batch_size=256)
