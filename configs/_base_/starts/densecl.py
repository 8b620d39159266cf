# DenseCL, 200 epochs of ImageNet: weights and recipe are mmpretrain's
# densecl/densecl_resnet50_8xb32-coslr-200e_in1k.py.
_base_ = './scratch.py'

__weights = dict(
    load_from='https://download.openmmlab.com/mmselfsup/1.x/densecl/'
    'densecl_resnet50_8xb32-coslr-200e_in1k/'
    'densecl_resnet50_8xb32-coslr-200e_in1k_20220825-3078723b.pth')

start = dict(
    name='densecl',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
