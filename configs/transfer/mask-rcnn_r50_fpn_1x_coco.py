# Mask R-CNN with FPN on COCO, 90k iterations of 16 images (8 GPUs x 2).
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::common/ms-poly-90k_coco-instance.py',
    '../_base_/transfer.py',
]
start_family = 'fpn'

model = dict(_base_.fpn)
model['roi_head'] = dict(
    _base_.fpn.roi_head, mask_head=dict(norm_cfg=_base_.sync_bn))
optim_wrapper = _base_.no_norm_decay
