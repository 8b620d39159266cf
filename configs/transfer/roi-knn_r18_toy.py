"""RoI kNN on the toy set, for checkpoints of its pretrainings.

    python tools/test.py configs/transfer/roi-knn_r18_toy.py \
        work_dirs/insloc_r18_fpn_toy/epoch_3.pth

docs/probes.md has results.
"""
_base_ = './roi-knn_r50_coco.py'

# The network of ../insloc/insloc_r18_fpn_toy.py up to the neck.
model = dict(
    backbone=dict(depth=18, base_channels=16, stem_channels=16),
    neck=dict(
        type='FPN',
        in_channels=[16, 32, 64, 128],
        out_channels=32,
        norm_cfg=dict(type='BN'),
        num_outs=4),
    sources=('pixels', 'c2', 'c3', 'c4', 'c5', 'p2', 'p3', 'p4', 'p5'))

metainfo = dict(
    classes=('striped disc', 'dotted disc', 'checked square', 'ringed square',
             'striped triangle', 'dotted triangle', 'checked star',
             'ringed star'))
bank = dict(
    _base_.bank,
    data_root='data/toy/',
    ann_file='annotations/train.json',
    data_prefix=dict(img='train/'),
    indices=None,
    metainfo=metainfo,
    pipeline=[*_base_.bank_pipeline])
bank['pipeline'][2] = dict(type='Resize', scale=(128, 128), keep_ratio=True)
query = dict(
    bank,
    ann_file='annotations/val.json',
    data_prefix=dict(img='val/'),
    pipeline=[*bank['pipeline']])
query['pipeline'][3] = _base_.query_pipeline[3]
test_dataloader = dict(dataset=dict(datasets=[bank, query]))
