"""SoCo, ResNet-50 FPN, on a folder of your own images, on one GPU.

    python tools/train.py \
        configs/soco/soco_r50_fpn_1xb64-coslr-100e_folder.py \
        --cfg-options train_dataloader.dataset.data_root=/path/to/images

The folder is searched recursively. Proposals are computed by the loader's
workers when an image is first seen, and kept under data/proposal_cache. The
learning rate is the published one scaled to a batch of 64; an image that
cannot be read is skipped and counted. Expected score: depends on the images;
not run.
"""
_base_ = './soco_r50_fpn_16xb128-coslr-100e_in1k.py'

load_image, load_proposals, *views = _base_.train_pipeline
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        data_root='data/images',
        data_prefix=dict(img=''),
        on_corrupt='skip',
        pipeline=[
            load_image,
            dict(
                type='mmloc.GenerateProposals',
                cache_dir='data/proposal_cache',
                on_empty='whole_image'), *views
        ]))
# 1.0 x 64 / 256
optim_wrapper = dict(optimizer=dict(lr=0.25))
auto_scale_lr = dict(base_batch_size=64)
