# Mask R-CNN on the stride-16 map (C4) from SoCo.
_base_ = [
    '../../transfer/mask-rcnn_r50_c4_2x_coco.py',
    '../../_base_/starts/soco_c4.py',
]
model = _base_.start.c4.model
optim_wrapper = _base_.start.c4.optim_wrapper
load_from = _base_.start.c4.load_from
