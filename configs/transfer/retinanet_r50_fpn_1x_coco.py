# RetinaNet on COCO, 90k iterations of 16 images (8 GPUs x 2): detectron2's
# schedule and scales, with SyncBN in backbone and FPN. Of a pretraining with
# FPN it takes over the levels from C3 on.
_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    'mmdet::common/ms-90k_coco.py',
    '../_base_/transfer.py',
]
start_family = 'dense'

model = _base_.dense
optim_wrapper = dict(optimizer=dict(lr=0.01), **_base_.no_norm_decay)
