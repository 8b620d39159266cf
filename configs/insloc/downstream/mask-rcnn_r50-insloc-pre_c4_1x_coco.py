# Mask R-CNN on the stride-16 map from InsLoc: as from SoCo, with the usual
# decay.
_base_ = '../../soco/downstream/mask-rcnn_r50-soco-pre_c4_1x_coco.py'

optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))

load_from = 'work_dirs/insloc_r50_c4_8xb32-coslr-200e_in1k/epoch_200.pth'
