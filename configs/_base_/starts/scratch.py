# New weights, and the base of the other starts. A start says what it changes
# in a protocol of each family, and therefore names every field that any start
# changes: laid over another one it leaves nothing of it.
#   fpn, c4      two-stage detectors
#   dense        one-stage detectors and probes of features
#   classifier   mmpretrain's
# (Names with two underscores stay in their file.)
__rgb = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
# Of bottlenecks the 3x3 convolution has the stride; 'caffe': the first 1x1.
__resnet = dict(style='pytorch')
__decay = dict(optimizer=dict(weight_decay=1e-4))

start = dict(
    name='scratch',
    fpn=dict(
        model=dict(
            data_preprocessor=dict(__rgb, bgr_to_rgb=True),
            backbone=__resnet,
            roi_head=dict(bbox_head=dict(type='ConvFCBBoxHead'))),
        optim_wrapper=__decay,
        load_from=None),
    c4=dict(
        model=dict(
            data_preprocessor=dict(__rgb, bgr_to_rgb=True),
            backbone=__resnet,
            roi_head=dict(shared_head=__resnet)),
        optim_wrapper=__decay,
        load_from=None),
    dense=dict(
        model=dict(
            data_preprocessor=dict(__rgb, bgr_to_rgb=True),
            backbone=__resnet),
        load_from=None),
    classifier=dict(
        model=dict(
            data_preprocessor=dict(__rgb, to_rgb=True), backbone=__resnet),
        load_from=None))
