# The published optimisation of InsLoc: SGD with Nesterov momentum, no warm-up,
# cosine to zero stepped once per epoch. lr 0.03 is for 8 GPUs x 32 images;
# `--auto-scale-lr` adapts it to another batch size.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4, nesterov=True))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=200,
        eta_min=0.,
        by_epoch=True,
        begin=0,
        end=200)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
auto_scale_lr = dict(enable=False, base_batch_size=256)
