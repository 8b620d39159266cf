# Mask R-CNN from SoCo, 90k iterations of 16 images (8 GPUs x 2): as from
# InsLoc, without the extra norm and with a quarter of the decay.
_base_ = '../../insloc/downstream/mask-rcnn_r50-insloc-pre_fpn_1x_coco.py'

model = dict(roi_head=dict(bbox_head=dict(type='ConvFCBBoxHead')))
optim_wrapper = dict(optimizer=dict(weight_decay=2.5e-5))

load_from = 'work_dirs/soco_r50_fpn_16xb128-coslr-100e_in1k/epoch_100.pth'
