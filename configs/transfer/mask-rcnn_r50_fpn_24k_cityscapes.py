# Mask R-CNN with FPN on Cityscapes, 24k iterations of 8 images (8 GPUs x 1) as
# in detectron2, from the start's weights (detectron2 and mmdet begin from
# detectors trained on COCO).
_base_ = './mask-rcnn_r50_fpn_1x_coco.py'

num_classes = 8
model = dict(
    roi_head=dict(
        bbox_head=dict(num_classes=num_classes),
        mask_head=dict(num_classes=num_classes)))

data_root = 'data/cityscapes/'
train_pipeline = _base_.train_pipeline
# The masks are run lengths; without this, mmdet would ignore their objects.
train_pipeline[1].update(poly2mask=True)
train_pipeline[2].update(
    scales=[(2048, side) for side in range(800, 1025, 32)])
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(2048, 1024))
test_pipeline[2].update(poly2mask=True)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='CityscapesDataset',
        data_root=data_root,
        ann_file='annotations/instancesonly_filtered_gtFine_train.json',
        data_prefix=dict(img='leftImg8bit/train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        data_root=data_root,
        ann_file='annotations/instancesonly_filtered_gtFine_val.json',
        data_prefix=dict(img='leftImg8bit/val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

# Published numbers are Cityscapes' own; COCO's are there to compare with.
val_evaluator = [
    dict(
        type='CocoMetric',
        ann_file=data_root +
        'annotations/instancesonly_filtered_gtFine_val.json',
        metric=['bbox', 'segm']),
    # Predictions go to a temporary folder: in a fixed one, two trainings
    # would delete each other's.
    dict(
        type='mmloc.CityScapesMetric',
        seg_prefix=data_root + 'gtFine/val',
        outfile_prefix=None)
]
test_evaluator = val_evaluator

max_iter = 24000
train_cfg = dict(max_iters=max_iter, val_interval=8000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iter, milestones=[18000])
default_hooks = dict(checkpoint=dict(interval=8000))
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
