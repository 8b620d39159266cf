"""Patch localisation: where in an image of COCO val2017 is this patch from?

    python tools/test.py configs/transfer/patch-localization_r50_coco.py \
        --start insloc_fpn

docs/probes.md has the protocol.
"""
_base_ = '../_base_/probes.py'

model = dict(
    type='mmloc.PatchLocalizer', sources=('pixels', 'c3', 'c4', 'c5'))

data_root = 'data/coco/'
# The colours of MoCo-v2; the target keeps its own.
view_pipeline = [
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='mmloc.ColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        prob=0.8),
    dict(type='mmloc.RandomGrayscale', prob=0.2),
    dict(
        type='mmpretrain.GaussianBlur',
        magnitude_range=(0.1, 2.0),
        magnitude_std='inf',
        prob=0.5),
]
pack = dict(type='PackDetInputs', meta_keys=('img_path', 'img_shape'))
pipeline = [
    dict(type='mmloc.RandomPatch'),
    dict(
        type='MultiBranch',
        branch_field=['target', 'zoomed', 'pasted'],
        target=[pack],
        zoomed=[
            dict(type='mmloc.CutPatch', side_range=(112, 224), margin=0.5),
            *view_pipeline, pack
        ],
        pasted=[
            dict(
                type='mmloc.CutPatch',
                side_range=(112, 224),
                canvas=(448, 448)), *view_pipeline, pack
        ]),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        # Every start gets the same patches.
        type='mmloc.FixedDrawsDataset',
        seed=0,
        dataset=dict(
            type='mmloc.MixImagesDataset',
            num_backgrounds=1,
            num_foregrounds=0,
            exclude_foreground=True,
            dataset=dict(
                type='mmloc.UnlabeledImageDataset',
                data_root=data_root,
                ann_file='annotations/instances_val2017.json',
                data_prefix=dict(img='val2017/'),
                test_mode=True,
                pipeline=[
                    dict(type='mmloc.LoadImage'),
                    dict(type='Resize', scale=(448, 448), keep_ratio=True),
                ]),
            pipeline=pipeline)))
test_evaluator = dict(type='mmloc.PatchLocalizationMetric')
