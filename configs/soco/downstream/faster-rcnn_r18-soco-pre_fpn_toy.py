# The toy detector and budget of InsLoc, from SoCo.
_base_ = '../../insloc/downstream/faster-rcnn_r18-insloc-pre_fpn_toy.py'

load_from = 'work_dirs/soco_r18_fpn_toy/epoch_3.pth'
