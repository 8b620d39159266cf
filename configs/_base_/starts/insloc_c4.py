# InsLoc on the stride-16 map (C4), 200 epochs of ImageNet.
_base_ = './scratch.py'

__weights = dict(
    load_from='work_dirs/insloc_r50_c4_8xb32-coslr-200e_in1k/epoch_200.pth')

start = dict(
    name='insloc_c4',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
