"""InsLoc on the toy set: a small network that trains on CPU in minutes.

    python tools/dataset_tools/make_toy_dataset.py
    python tools/train.py configs/insloc/insloc_r18_fpn_toy.py

This is what tools/quickstart.sh runs; docs/toy_benchmark.md has its results.
"""
_base_ = [
    '../_base_/models/insloc_r50_fpn.py',
    '../_base_/datasets/insloc.py',
    '../_base_/default_runtime.py',
]

# ResNet-18 of a quarter of the width and a head of an eighth. The toy
# detectors in downstream/ have the same parts.
model = dict(
    backbone=dict(depth=18, base_channels=16, stem_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(
            in_channels=32, conv_out_channels=32, fc_out_channels=128)),
    projector=dict(in_features=128),
    # A few hundred steps: a short queue and a target that follows faster
    # than the published ones.
    head=dict(queue=dict(length=256), temperature=0.1),
    target=dict(momentum=0.01),
    # One process: as if on four GPUs of 8 images.
    bn_splits=4)

view_pipeline = _base_.view_pipeline
canvas = (128, 128)
width_range = (48, 120)
paste = dict(canvas=canvas, width_range=width_range)
augment = dict(
    type='mmloc.AugmentBoxes',
    anchor_generator=dict(
        type='mmdet.AnchorGenerator',
        strides=[16],
        scales=[1, 2, 4, 8],
        ratios=[0.5, 0.75, 1.0, 1.5, 2.0]))
train_pipeline = [
    dict(
        type='mmloc.MultiBranch',
        branch_field=['query', 'key'],
        query=[
            dict(type='mmloc.PasteInstance', background=0, **paste),
            *view_pipeline, augment, _base_.pack
        ],
        key=[
            dict(type='mmloc.PasteInstance', background=1, **paste),
            *view_pipeline, _base_.pack
        ])
]
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    pin_memory=False,
    dataset=dict(
        dataset=dict(
            data_root='data/toy', data_prefix=dict(img='unlabeled')),
        pipeline=train_pipeline))

max_epochs = 3
# SGD with the published settings moves little in so few steps.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=32)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=1))
env_cfg = dict(dist_cfg=dict(backend='gloo'))
