# The published optimisation of SoCo: LARS, ten epochs of linear warm-up from
# a hundredth, then cosine to 1e-6, stepped per iteration, in float16 (the
# authors call mixed precision important). lr 1.0 per 256 images: 8.0 for 16
# GPUs x 128 images; `--auto-scale-lr` adapts it to another batch size.
max_epochs = 100
warmup_epochs = 10
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(
        type='mmloc.LARS',
        lr=8.0,
        momentum=0.9,
        weight_decay=1e-5,
        trust_coefficient=0.001,
        eps=1e-8))
param_scheduler = [
    dict(
        type='mmloc.WarmupLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - warmup_epochs,
        eta_min=1e-6,
        by_epoch=True,
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs)
auto_scale_lr = dict(enable=False, base_batch_size=2048)
