# Probes of a frozen backbone: they are tested as they start, and never train.
_base_ = './default_runtime.py'
start_family = 'dense'

custom_hooks = [
    # An init_cfg of the start; mmengine applies it before training only.
    dict(type='mmloc.InitWeightsHook'),
    dict(type='mmloc.FitCheckpointHook'),
    dict(type='mmloc.TransferReportHook'),
]
# New weights are the same in every run.
randomness = dict(seed=0)

model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=50,
        norm_cfg=dict(type='BN'),
        style='pytorch',
        init_cfg=None))
test_cfg = dict(type='TestLoop')
