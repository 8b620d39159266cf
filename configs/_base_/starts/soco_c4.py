# SoCo on the stride-16 map (C4), 100 epochs of ImageNet.
_base_ = './soco_fpn.py'

__weights = dict(
    load_from='work_dirs/soco_r50_c4_16xb128-coslr-100e_in1k/epoch_100.pth')

start = dict(
    name='soco_c4',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
