"""SoCo* on the toy set: four views. See soco_r18_fpn_toy.py."""
_base_ = './soco_r18_fpn_toy.py'

model = dict(
    pairs=[('view1', 'view2'), ('view1', 'view3'), ('view1', 'view4')])

train_pipeline = _base_.train_pipeline
train_pipeline[-1].views.view2.then = _base_.others
train_pipeline[-1].views.view3.then = _base_.others
train_pipeline[-1].views.view3.transforms[0].scale = 112
train_pipeline[-1].views.view4 = dict(
    source='view2',
    transforms=[dict(_base_.whole, scale=(64, 64))],
    then=_base_.others)
train_pipeline[-1].select.pairs.append(
    dict(views=('view1', 'view4'), same_as=0))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
