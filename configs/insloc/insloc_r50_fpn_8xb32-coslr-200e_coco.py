"""InsLoc, ResNet-50 FPN, 200 epochs of the images of COCO train2017.

The annotation file serves as the list of images only; no label is read.
Expected score: unknown, not published and here not run.
"""
_base_ = './insloc_r50_fpn_8xb32-coslr-200e_in1k.py'

train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_root='data/coco',
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017'))))
