# Faster R-CNN on the stride-16 map on VOC, trainval of 2007 and 2012 to test
# of 2007: MoCo's recipe, 24k iterations of 16 images (8 GPUs x 2). MoCo's
# authors recommend the mean of 5 runs, which differ by 0.2 to 0.4.
_base_ = './faster-rcnn_r50_c4_1x_coco.py'

model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))

data_root = 'data/VOCdevkit/'
train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scales=[(1333, side) for side in range(480, 801, 32)])
# detectron2 trains on difficult objects too, and so do published results.
train_pipeline.insert(2, dict(type='mmloc.IncludeDifficult'))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                type='VOCDataset',
                data_root=data_root,
                ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'),
                filter_cfg=dict(filter_empty_gt=True),
                pipeline=train_pipeline) for year in (2007, 2012)
        ]))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='VOCDataset',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True,
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

# AP over 10 thresholds is reported as mAP, next to AP50 and AP75. For VOC2007
# detectron2 takes the mean precision at 11 recalls, and so do published
# results.
val_evaluator = dict(
    _delete_=True,
    type='VOCMetric',
    iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
    eval_mode='11points')
test_evaluator = val_evaluator

max_iter = 24000
train_cfg = dict(max_iters=max_iter, val_interval=max_iter)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=100)
param_scheduler[1].update(end=max_iter, milestones=[18000, 22000])
default_hooks = dict(checkpoint=dict(interval=6000))
