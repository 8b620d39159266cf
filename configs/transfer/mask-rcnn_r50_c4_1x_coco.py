# Mask R-CNN on the stride-16 map on COCO, 90k iterations of 16 images (8 GPUs
# x 2). The numbers of proposals, 12,000 and 2,000 in training, 6,000 and 1,000
# in testing before and after NMS, are detectron2's and mmdet's.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py',
    'mmdet::common/ms-poly-90k_coco-instance.py',
    '../_base_/transfer.py',
]
start_family = 'c4'

model = _base_.c4
optim_wrapper = _base_.no_norm_decay
