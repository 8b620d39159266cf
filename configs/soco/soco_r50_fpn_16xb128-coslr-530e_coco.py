"""SoCo, ResNet-50 FPN, 530 epochs of COCO train2017 and unlabeled2017.

As many steps as 100 epochs of ImageNet. The authors ran it; its score was not
found. Here: not run.
"""
_base_ = './soco_r50_fpn_16xb128-coslr-100e_coco.py'

max_epochs = 530
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(
    T_max=max_epochs - _base_.warmup_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
