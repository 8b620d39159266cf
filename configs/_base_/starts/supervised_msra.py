# Classification of ImageNet, MSRA's ResNet-50 as in detectron2, from which
# the published tables have their supervised rows: images are BGR of 0 to 255,
# and the stride is in the first 1x1 convolution.
_base_ = './scratch.py'

__weights = dict(load_from='open-mmlab://detectron2/resnet50_caffe')
__bgr = dict(mean=[103.53, 116.28, 123.675], std=[1., 1., 1.])
__resnet = dict(style='caffe')

start = dict(
    name='supervised_msra',
    fpn=dict(
        __weights,
        model=dict(
            data_preprocessor=dict(__bgr, bgr_to_rgb=False),
            backbone=__resnet)),
    c4=dict(
        __weights,
        model=dict(
            data_preprocessor=dict(__bgr, bgr_to_rgb=False),
            backbone=__resnet,
            roi_head=dict(shared_head=__resnet))),
    dense=dict(
        __weights,
        model=dict(
            data_preprocessor=dict(__bgr, bgr_to_rgb=False),
            backbone=__resnet)),
    classifier=dict(
        __weights,
        model=dict(
            data_preprocessor=dict(__bgr, to_rgb=False),
            backbone=__resnet)))
