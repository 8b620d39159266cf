# Faster R-CNN on the stride-16 map (C4) from InsLoc.
_base_ = [
    '../../transfer/faster-rcnn_r50_c4_24k_voc0712.py',
    '../../_base_/starts/insloc_c4.py',
]
model = _base_.start.c4.model
optim_wrapper = _base_.start.c4.optim_wrapper
load_from = _base_.start.c4.load_from
