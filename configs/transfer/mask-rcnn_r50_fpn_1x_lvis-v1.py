# Mask R-CNN with FPN on LVIS v1, whose images are COCO's: the COCO recipe, 90k
# iterations as in SoCo's configuration (its base file says 180k), images with
# rare classes repeated.
_base_ = './mask-rcnn_r50_fpn_1x_coco.py'

num_classes = 1203
model = dict(
    roi_head=dict(
        bbox_head=dict(num_classes=num_classes),
        mask_head=dict(num_classes=num_classes)),
    test_cfg=dict(rcnn=dict(score_thr=1e-4, max_per_img=300)))

data_root = 'data/lvis_v1/'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ClassBalancedDataset',
        oversample_thr=1e-3,
        dataset=dict(
            type='LVISV1Dataset',
            data_root=data_root,
            ann_file='annotations/lvis_v1_train.json',
            data_prefix=dict(img=''),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=_base_.train_pipeline)))
val_dataloader = dict(
    dataset=dict(
        type='LVISV1Dataset',
        data_root=data_root,
        ann_file='annotations/lvis_v1_val.json',
        data_prefix=dict(img='')))
test_dataloader = val_dataloader

val_evaluator = dict(
    _delete_=True,
    type='mmloc.LVISMetric',
    ann_file=data_root + 'annotations/lvis_v1_val.json',
    metric=['bbox', 'segm'])
test_evaluator = val_evaluator
# The evaluation of 20k images with 300 detections each takes hours.
train_cfg = dict(val_interval=_base_.max_iter)
