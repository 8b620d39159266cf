"""RoI kNN: true boxes of COCO val2017, classified by those of train2017.

    python tools/test.py configs/transfer/roi-knn_r50_coco.py --start soco_fpn

docs/probes.md has the protocol.
"""
_base_ = '../_base_/probes.py'

model = dict(type='mmloc.BoxFeatureExtractor', sources=('c3', 'c4', 'c5'))

data_root = 'data/coco/'
# The boxes are scaled with the images, unlike in mmdet's test pipelines.
bank_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='mmloc.SetKeys', split='bank'),
    dict(
        type='PackDetInputs', meta_keys=('img_path', 'img_shape', 'split')),
]
query_pipeline = [*bank_pipeline]
query_pipeline[3] = dict(type='mmloc.SetKeys', split='query')
bank = dict(
    type='CocoDataset',
    data_root=data_root,
    ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017/'),
    # The first tenth, of 10,000 images, has about 70,000 boxes.
    indices=10000,
    test_mode=True,
    pipeline=bank_pipeline)
query = dict(
    bank,
    ann_file='annotations/instances_val2017.json',
    data_prefix=dict(img='val2017/'),
    indices=None,
    pipeline=query_pipeline)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConcatDataset', datasets=[bank, query]))
test_evaluator = dict(type='mmloc.RoIKNNMetric', k=20, temperature=0.07)
