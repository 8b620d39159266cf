# InsLoc composites of ImageNet. A config that inherits this for other images
# states where they are:
#   train_dataloader = dict(dataset=dict(dataset=dict(
#       data_root=..., ann_file=..., data_prefix=dict(img=...))))
# The colour transforms are those of MoCo-v2 without its random crop, and have
# the bytes of Pillow, as published.
view_pipeline = [
    dict(
        type='mmloc.ColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        prob=0.8),
    dict(type='mmloc.RandomGrayscale', prob=0.2),
    dict(
        type='mmloc.GaussianBlur',
        magnitude_range=(0.1, 2.0),
        magnitude_std='inf',
        prob=0.5),
    dict(type='mmloc.RandomFlip', prob=0.5),
]
pack = dict(type='mmloc.PackRegionInputs')
train_pipeline = [
    dict(
        type='mmloc.MultiBranch',
        branch_field=['query', 'key'],
        query=[
            dict(type='mmloc.PasteInstance', background=0), *view_pipeline,
            dict(type='mmloc.AugmentBoxes'), pack
        ],
        key=[
            dict(type='mmloc.PasteInstance', background=1), *view_pipeline,
            pack
        ])
]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    # A batch comes as one piece of shared memory.
    collate_fn=dict(type='mmloc.flat_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmloc.MixImagesDataset',
        num_backgrounds=2,
        num_foregrounds=1,
        exclude_foreground=False,
        dataset=dict(
            type='mmloc.UnlabeledImageDataset',
            data_root='data/imagenet',
            data_prefix=dict(img='train'),
            pipeline=[
                dict(type='mmloc.LoadImage'),
                # Colours and blur are drawn here and carried out in the data
                # preprocessor, to the same bytes; enabled=False does it here.
                dict(type='mmloc.DeferPhotometric')
            ]),
        pipeline=train_pipeline))
