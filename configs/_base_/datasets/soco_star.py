# SoCo*'s four views: the third is larger than SoCo's, the fourth is the
# second one (before its flip) at half the size with the same boxes. The
# released script has no cutout. See soco.py for what an heir states.
_base_ = './soco.py'

others = _base_.others
whole = _base_.whole
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(
        type='mmloc.MultiView',
        views=dict(
            view1=dict(transforms=[whole], then=_base_.first),
            view2=dict(
                transforms=[dict(_base_.crop, scale=224)], then=others),
            view3=dict(
                transforms=[dict(_base_.crop, scale=192)], then=others),
            view4=dict(
                source='view2',
                transforms=[dict(whole, scale=(112, 112))],
                then=others)),
        select=dict(
            _base_.select,
            jitter=_base_.jitter,
            pairs=[
                dict(views=('view1', 'view2')),
                dict(views=('view1', 'view3')),
                dict(views=('view1', 'view4'), same_as=0)
            ]))
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
