# Faster R-CNN with FPN on COCO, 90k iterations of 16 images (8 GPUs x 2).
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::common/ms-90k_coco.py',
    '../_base_/transfer.py',
]
start_family = 'fpn'

model = _base_.fpn
optim_wrapper = _base_.no_norm_decay
