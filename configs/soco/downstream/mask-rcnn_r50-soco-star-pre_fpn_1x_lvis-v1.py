# Mask R-CNN with FPN from SoCo*.
_base_ = [
    '../../transfer/mask-rcnn_r50_fpn_1x_lvis-v1.py',
    '../../_base_/starts/soco_star_fpn.py',
]
model = _base_.start.fpn.model
optim_wrapper = _base_.start.fpn.optim_wrapper
load_from = _base_.start.fpn.load_from
