# Classification of ImageNet by torchvision's ResNet-50.
_base_ = './scratch.py'

# As a list, which replaces the setting of another start instead of merging.
__resnet = dict(init_cfg=[
    dict(type='Pretrained', checkpoint='torchvision://resnet50')])

start = dict(
    name='supervised',
    fpn=dict(model=dict(backbone=__resnet)),
    c4=dict(
        model=dict(
            backbone=__resnet, roi_head=dict(shared_head=__resnet))),
    dense=dict(model=dict(backbone=__resnet)),
    classifier=dict(model=dict(backbone=__resnet)))
