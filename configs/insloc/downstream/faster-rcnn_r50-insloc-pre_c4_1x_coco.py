# Faster R-CNN on the stride-16 map from InsLoc, 90k iterations of 16 images
# (8 GPUs x 2).
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py',
    'mmdet::common/ms-90k_coco.py',
    '../../_base_/models/pretrained_detector.py',
    '../../_base_/custom_hooks.py',
]

model = _base_.pretrained_c4
optim_wrapper = _base_.pretrained.optim_wrapper

custom_hooks = [*_base_.custom_hooks, dict(type='mmloc.PreciseBNHook')]

load_from = 'work_dirs/insloc_r50_c4_8xb32-coslr-200e_in1k/epoch_200.pth'
