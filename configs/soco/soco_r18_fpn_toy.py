"""SoCo on the toy set: a small network that trains on CPU in minutes.

    python tools/dataset_tools/make_toy_dataset.py
    python tools/dataset_tools/generate_proposals.py \
        data/toy/unlabeled data/toy/unlabeled.mmprop
    python tools/train.py configs/soco/soco_r18_fpn_toy.py

This is what tools/quickstart.sh --method soco runs; docs/toy_benchmark.md has
its results.
"""
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco.py',
    '../_base_/default_runtime.py',
]

# The parts of ../insloc/insloc_r18_fpn_toy.py, and MLPs of an eighth.
model = dict(
    backbone=dict(depth=18, base_channels=16, stem_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(
            in_channels=32, conv_out_channels=32, fc_out_channels=128)),
    projector=dict(in_channels=128, hid_channels=512, out_channels=128),
    predictor=dict(in_channels=128, hid_channels=512, out_channels=128),
    # The published thresholds, for views of 128 in place of 224 pixels.
    head=dict(thresholds=(27, 55, 110, 128)))

train_pipeline = _base_.train_pipeline
train_pipeline[1].proposal_file = 'data/toy/unlabeled.mmprop'
train_pipeline[-1].views.view1.transforms[0].scale = (128, 128)
train_pipeline[-1].views.view2.transforms[0].scale = 128
train_pipeline[-1].views.view3.transforms[0].scale = 64
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    pin_memory=False,
    dataset=dict(
        data_root='data/toy',
        data_prefix=dict(img='unlabeled'),
        pipeline=train_pipeline))

max_epochs = 3
# LARS with the published settings moves little in so few steps.
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
