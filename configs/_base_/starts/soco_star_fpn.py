# SoCo* with FPN, 400 epochs of ImageNet.
_base_ = './soco_fpn.py'

__weights = dict(
    load_from='work_dirs/soco-star_r50_fpn_16xb128-coslr-400e_in1k/'
    'epoch_400.pth')

start = dict(
    name='soco_star_fpn',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
