# SoCo's three views of ImageNet (FPN), with the cutout of the released script
# for 100 epochs. A config that inherits this for other images states where
# they and their proposals are:
#   train_pipeline = _base_.train_pipeline
#   train_pipeline[1].proposal_file = ...
#   train_dataloader = dict(
#       dataset=dict(
#           data_root=..., ann_file=..., data_prefix=dict(img=...),
#           pipeline=train_pipeline))
# The colours have the bytes of Pillow, as published.
colours = [
    dict(
        type='mmloc.ColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        prob=0.8),
    dict(type='mmloc.RandomGrayscale', prob=0.2),
]
blur = dict(
    type='mmloc.GaussianBlur',
    magnitude_range=(0.1, 2.0),
    magnitude_std='inf')
flip = dict(type='mmloc.RandomFlip', prob=0.5)
pack = dict(type='mmloc.PackRegionInputs')
# What follows the choice of boxes in the first view and in all others.
first = [*colours, dict(blur, prob=1.0), flip, pack]
others = [
    *colours,
    dict(blur, prob=0.1),
    dict(type='mmloc.Solarize', thr=128, prob=0.2), flip, pack
]
others_cutout = [
    *others[:-1],
    dict(type='mmloc.CutoutInBoxes', prob=0.5, area=(0.1, 0.3)), pack
]
# Antialiased as in Pillow, up to one level of 255; backend='pillow' gives its
# very pixels.
whole = dict(type='mmloc.Resize', scale=(224, 224))
crop = dict(type='mmloc.RandomResizedCrop', crop_ratio_range=(0.5, 1.0))
# Boxes end at their last pixel, as published.
select = dict(type='mmloc.SelectMatches', num=4, inclusive=True)
# Of the first view's boxes alone.
jitter = dict(view1=dict(prob=0.5, ratio=0.1))
train_pipeline = [
    dict(type='mmloc.LoadImage'),
    dict(
        type='mmloc.LoadProposals',
        proposal_file='data/imagenet/train.mmprop',
        # An image without proposals is one object, as published.
        on_empty='whole_image'),
    # Colours, blur, solarisation and cutout are drawn here and carried out in
    # the data preprocessor, to the same bytes; enabled=False does it here.
    dict(type='mmloc.DeferPhotometric'),
    # So are crops, resizes and flips; max_deferred=0 does these alone here.
    dict(
        type='mmloc.MultiView',
        views=dict(
            view1=dict(transforms=[whole], then=first),
            view2=dict(
                transforms=[dict(crop, scale=224)], then=others_cutout),
            # The paper's wording is the second view, downsampled:
            #   source='view2', transforms=[dict(whole, scale=(112, 112))]
            view3=dict(
                transforms=[dict(crop, scale=112)], then=others_cutout)),
        select=dict(
            select,
            jitter=jitter,
            pairs=[
                dict(views=('view1', 'view2')),
                dict(views=('view1', 'view3'))
            ]))
]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    # A batch comes as one piece of shared memory.
    collate_fn=dict(type='mmloc.flat_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmloc.UnlabeledImageDataset',
        data_root='data/imagenet',
        data_prefix=dict(img='train'),
        pipeline=train_pipeline))
