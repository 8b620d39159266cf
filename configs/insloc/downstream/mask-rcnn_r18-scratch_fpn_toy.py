# The same detector and budget from new weights.
_base_ = './mask-rcnn_r18-insloc-pre_fpn_toy.py'

load_from = None
