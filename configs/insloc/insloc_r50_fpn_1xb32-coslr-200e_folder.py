"""InsLoc, ResNet-50 FPN, on a folder of your own images, on one GPU.

    python tools/train.py \
        configs/insloc/insloc_r50_fpn_1xb32-coslr-200e_folder.py \
        --cfg-options \
        train_dataloader.dataset.dataset.data_root=/path/to/images

The folder is searched recursively. The learning rate is the published one
scaled to a batch of 32, and an image that cannot be read is skipped and
counted instead of ending the run. BatchNorm works on four batches of 8, as on
four GPUs: on a single batch it would tell which key belongs to which query.
Expected score: depends on the images; not run.
"""
_base_ = './insloc_r50_fpn_8xb32-coslr-200e_in1k.py'

model = dict(bn_splits=4)
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_root='data/images',
            data_prefix=dict(img=''),
            on_corrupt='skip')))
# 0.03 x 32 / 256
optim_wrapper = dict(optimizer=dict(lr=0.00375))
auto_scale_lr = dict(base_batch_size=32)
