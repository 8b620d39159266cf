# Classification of ImageNet, torchvision's ResNet-50.
_base_ = './scratch.py'

__weights = dict(load_from='torchvision://resnet50')

start = dict(
    name='supervised',
    fpn=__weights,
    c4=__weights,
    dense=__weights,
    classifier=__weights)
