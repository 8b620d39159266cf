# Mask R-CNN on the stride-16 map from SoCo, 90k iterations of 16 images
# (8 GPUs x 2). The numbers of proposals, 12,000 and 2,000 in training, 6,000
# and 1,000 in testing before and after NMS, are detectron2's and mmdet's.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py',
    'mmdet::common/ms-poly-90k_coco-instance.py',
    '../../_base_/models/pretrained_detector.py',
    '../../_base_/custom_hooks.py',
]

model = _base_.pretrained_c4
optim_wrapper = dict(
    optimizer=dict(weight_decay=2.5e-5), **_base_.pretrained.optim_wrapper)

custom_hooks = [*_base_.custom_hooks, dict(type='mmloc.PreciseBNHook')]

load_from = 'work_dirs/soco_r50_c4_16xb128-coslr-100e_in1k/epoch_100.pth'
