# BYOL, 200 epochs of ImageNet: weights and recipe are mmpretrain's
# byol/byol_resnet50_16xb256-coslr-200e_in1k.py. (Published tables have 300.)
_base_ = './scratch.py'

__weights = dict(
    load_from='https://download.openmmlab.com/mmselfsup/1.x/byol/'
    'byol_resnet50_16xb256-coslr-200e_in1k/'
    'byol_resnet50_16xb256-coslr-200e_in1k_20220825-de817331.pth')

start = dict(
    name='byol',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
