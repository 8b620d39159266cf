# SoCo's two views for C4: a milder crop, no jitter of boxes, cutout in the
# second view. See soco.py for what an heir states.
_base_ = './soco.py'

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(
        type='mmloc.MultiView',
        views=dict(
            view1=dict(transforms=[_base_.whole], then=_base_.first),
            view2=dict(
                transforms=[
                    dict(_base_.crop, scale=224, crop_ratio_range=(0.6, 1.0))
                ],
                then=_base_.others_cutout)),
        select=dict(_base_.select, pairs=[dict(views=('view1', 'view2'))]))
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
