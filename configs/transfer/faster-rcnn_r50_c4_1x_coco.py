# Faster R-CNN on the stride-16 map on COCO, 90k iterations of 16 images (8
# GPUs x 2).
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py',
    'mmdet::common/ms-90k_coco.py',
    '../_base_/transfer.py',
]
start_family = 'c4'

model = _base_.c4
optim_wrapper = _base_.no_norm_decay
