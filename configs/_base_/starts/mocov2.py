# MoCo-v2, 200 epochs of ImageNet: weights and recipe are mmpretrain's
# mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py.
_base_ = './scratch.py'

__weights = dict(
    load_from='https://download.openmmlab.com/mmselfsup/1.x/mocov2/'
    'mocov2_resnet50_8xb32-coslr-200e_in1k/'
    'mocov2_resnet50_8xb32-coslr-200e_in1k_20220825-b6d23c86.pth')

start = dict(
    name='mocov2',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
