"""Patch localisation on the toy set, for checkpoints of its pretrainings.

    python tools/test.py configs/transfer/patch-localization_r18_toy.py \
        work_dirs/insloc_r18_fpn_toy/epoch_3.pth

docs/probes.md has results.
"""
_base_ = './patch-localization_r50_coco.py'

# The network of ../insloc/insloc_r18_fpn_toy.py up to the neck.
model = dict(
    backbone=dict(depth=18, base_channels=16, stem_channels=16),
    neck=dict(
        type='FPN',
        in_channels=[16, 32, 64, 128],
        out_channels=32,
        norm_cfg=dict(type='BN'),
        num_outs=4),
    sources=('pixels', 'c2', 'c3', 'c4', 'p2', 'p3', 'p4'))

# Sides of 128 px in place of 448.
pipeline = _base_.pipeline
pipeline[1].zoomed[0].side_range = (32, 64)
pipeline[1].pasted[0].side_range = (32, 64)
pipeline[1].pasted[0].canvas = (128, 128)
test_dataloader = dict(
    dataset=dict(
        dataset=dict(
            dataset=dict(
                data_root='data/toy',
                ann_file='annotations/val.json',
                data_prefix=dict(img='val'),
                pipeline=[
                    dict(type='mmloc.LoadImage'),
                    dict(type='Resize', scale=(128, 128), keep_ratio=True),
                ]),
            pipeline=pipeline)))
