# SoCo with FPN, 100 epochs of ImageNet. Its detectors decay by a quarter of
# the usual, with which baselines were trained: compare with care.
_base_ = './scratch.py'

__weights = dict(
    load_from='work_dirs/soco_r50_fpn_16xb128-coslr-100e_in1k/epoch_100.pth')
__decay = dict(optim_wrapper=dict(optimizer=dict(weight_decay=2.5e-5)))

start = dict(
    name='soco_fpn',
    fpn=dict(__weights, **__decay),
    c4=dict(__weights, **__decay),
    dense=__weights,
    classifier=__weights)
