# Mask R-CNN from InsLoc, 90k iterations of 16 images (8 GPUs x 2).
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::common/ms-poly-90k_coco-instance.py',
    '../../_base_/models/pretrained_detector.py',
    '../../_base_/custom_hooks.py',
]

model = dict(
    backbone=_base_.pretrained.backbone,
    neck=_base_.pretrained.neck,
    roi_head=dict(
        bbox_head=dict(
            _base_.pretrained.bbox_head, type='mmloc.ExtraNormBBoxHead'),
        mask_head=dict(norm_cfg=_base_.sync_bn)))
optim_wrapper = _base_.pretrained.optim_wrapper

custom_hooks = [*_base_.custom_hooks, dict(type='mmloc.PreciseBNHook')]

load_from = 'work_dirs/insloc_r50_fpn_8xb32-coslr-200e_in1k/epoch_200.pth'
