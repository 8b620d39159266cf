# Copyright (c) mmloc contributors. All rights reserved.
"""The files that are written: COCO jsons and two configs."""
import json
import os.path as osp
from dataclasses import dataclass
from pathlib import Path

from mmloc.utils.files import atomic_write
from mmloc.utils.processes import num_cores

from ..archives import has_scheme
from .advice import Advice
from .labeled_set import LabeledSet

_TITLES = {'insloc': 'InsLoc', 'soco': 'SoCo', 'fpn': 'FPN', 'c4': 'C4',
           'faster-rcnn': 'Faster R-CNN', 'mask-rcnn': 'Mask R-CNN'}
_PRETRAINING = {
    ('insloc', 'fpn'): 'insloc/insloc_r50_fpn_8xb32-coslr-200e_in1k.py',
    ('insloc', 'c4'): 'insloc/insloc_r50_c4_8xb32-coslr-200e_in1k.py',
    ('soco', 'fpn'): 'soco/soco_r50_fpn_16xb128-coslr-100e_in1k.py',
    ('soco', 'c4'): 'soco/soco_r50_c4_16xb128-coslr-100e_in1k.py',
}


@dataclass(frozen=True)
class Choices:
    """What the user chose.

    Args:
        method (str): 'insloc' or 'soco'.
        neck (str): 'fpn' or 'c4'.
        detector (str): 'faster-rcnn' or 'mask-rcnn'.
        weights (str, optional): What the backbone begins its pretraining
            from. Defaults to None, for new weights.
    """
    method: str = 'insloc'
    neck: str = 'fpn'
    detector: str = 'faster-rcnn'
    weights: str | None = None


def write_coco(part: LabeledSet, path: Path, overwrite: bool = False) -> None:
    """Write a set as a COCO json, with every key that mmdet reads.

    Args:
        part (LabeledSet): The set.
        path (Path): The file.
        overwrite (bool): Whether to replace it. Defaults to False.
    """
    annotations = []
    for i, ann in enumerate(part.annotations, 1):
        width, height = ann['bbox'][2:]
        annotations.append(
            dict(dict(iscrowd=0), **ann) |
            dict(id=i, area=ann.get('area') or width * height))
    categories = [dict(id=i, name=n) for i, n in part.categories.items()]
    with atomic_write(str(path), overwrite, 'w') as file:
        json.dump(dict(images=part.images, annotations=annotations,
                       categories=categories), file)


def write_configs(out: Path, choices: Choices, prefix: str,
                  sets: list[LabeledSet], advice: Advice,
                  overwrite: bool = False) -> None:
    """Write ``pretrain.py`` and ``detector.py``.

    Args:
        out (Path): Their folder, in which ``unlabeled.txt``, ``train.json``
            and ``val.json`` are. Absolute.
        choices (Choices): What the user chose.
        prefix (str): Folder or archive that the names in ``unlabeled.txt``
            start from.
        sets (list[LabeledSet]): The sets for training and for evaluation.
        advice (Advice): The settings.
        overwrite (bool): Whether to replace the files. Defaults to False.
    """
    write = {'insloc': _insloc, 'soco': _soco}[choices.method]
    prefix = prefix if has_scheme(prefix) else osp.abspath(prefix)
    for name, text in (
        ('pretrain.py', write(out, choices, prefix, advice)),
        ('detector.py', _detector(out, choices, sets, advice))):
        with atomic_write(str(out / name), overwrite, 'w') as file:
            file.write(text)


def _head(choices: Choices, out: Path, advice: Advice) -> str:
    title = f'{_TITLES[choices.method]} with {_TITLES[choices.neck]}'
    base = _PRETRAINING[choices.method, choices.neck]
    backbone = ''
    if choices.weights:
        backbone = f"""
# What the backbone begins from.
backbone = dict(
    init_cfg=dict(type='Pretrained', checkpoint={choices.weights!r}))
"""
    return f'''"""{title} on your own images, on one GPU.

    python tools/train.py {out / 'pretrain.py'}
"""
_base_ = 'mmloc::{base}'
work_dir = {str(out / 'pretrain')!r}
{backbone}
optim_wrapper = dict(optimizer=dict(lr={advice.pretrain_lr:g}))
auto_scale_lr = dict(base_batch_size={advice.pretrain_batch})
train_cfg = dict(max_epochs={advice.pretrain_epochs})
param_scheduler = _base_.param_scheduler
'''


def _insloc(out: Path, choices: Choices, prefix: str, advice: Advice) -> str:
    epochs = advice.pretrain_epochs
    backbone = ', backbone=backbone' if choices.weights else ''
    return f"""{_head(choices, out, advice)}\
param_scheduler[0].update(T_max={epochs}, end={epochs})

# As on four GPUs: one batch would tell which key belongs to which query.
model = dict(bn_splits=4{backbone})
train_dataloader = dict(
    batch_size={advice.pretrain_batch},
    num_workers={min(num_cores(), 8)},
    dataset=dict(
        dataset=dict(
            data_root='',
            ann_file={str(out / 'unlabeled.txt')!r},
            data_prefix=dict(img={prefix!r}),
            on_corrupt='skip')))
"""


def _soco(out: Path, choices: Choices, prefix: str, advice: Advice) -> str:
    epochs = advice.pretrain_epochs
    model = 'model = dict(backbone=backbone)\n' if choices.weights else ''
    return f"""{_head(choices, out, advice)}\
param_scheduler[1].update(
    T_max={epochs} - _base_.warmup_epochs, end={epochs})

{model}train_pipeline = _base_.train_pipeline
train_pipeline[1].proposal_file = {str(out / 'unlabeled.mmprop')!r}
train_dataloader = dict(
    batch_size={advice.pretrain_batch},
    num_workers={min(num_cores(), 8)},
    dataset=dict(
        data_root='',
        ann_file={str(out / 'unlabeled.txt')!r},
        data_prefix=dict(img={prefix!r}),
        on_corrupt='skip',
        pipeline=train_pipeline))
"""


def _detector(out: Path, choices: Choices, sets: list[LabeledSet],
              advice: Advice) -> str:
    name = f'{choices.detector}_r50_{choices.neck}_1x_coco'
    classes = tuple(sets[0].categories.values())
    epochs, iters = advice.pretrain_epochs, advice.detector_iters
    load_from = str(out / 'pretrain' / f'epoch_{epochs}.pth')
    heads = _BOX_HEADS[choices.neck]
    if choices.detector == 'mask-rcnn':
        heads += _MASK_HEAD
    start = f'_base_.start.{choices.neck}'
    return f'''"""{_TITLES[choices.detector]} with {_TITLES[choices.neck]} \
on your own boxes, on one GPU.

    python tools/train.py {out / 'detector.py'}
    python tools/test.py {out / 'detector.py'} \\
        {out / 'detector' / f'iter_{iters}.pth'}

What it starts from is load_from. To compare, add --start scratch, or
--start supervised, and a --work-dir of its own.
"""
_base_ = [
    'mmloc::transfer/{name}.py',
    'mmloc::_base_/starts/{choices.method}_{choices.neck}.py',
]
model = {start}.model
optim_wrapper = {start}.optim_wrapper
load_from = {load_from!r}
work_dir = {str(out / 'detector')!r}

classes = {classes!r}
{heads}

{_pipelines(advice.side)}
data = dict(type='CocoDataset', data_root={str(out)!r},
            metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size={advice.detector_batch},
    dataset=dict(
        data,
        ann_file='train.json',
        data_prefix=dict(img={sets[0].root!r}),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data,
        ann_file='val.json',
        data_prefix=dict(img={sets[1].root!r}),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={str(out / 'val.json')!r})
test_evaluator = val_evaluator

optim_wrapper.optimizer.lr = {advice.detector_lr:g}
auto_scale_lr = dict(base_batch_size={advice.detector_batch})
train_cfg = dict(max_iters={iters}, val_interval={iters // 10})
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = {min(1000, iters // 10)}
param_scheduler[1].update(
    end={iters}, milestones=[{iters * 2 // 3}, {iters * 8 // 9}])
default_hooks = dict(
    checkpoint=dict(interval={iters // 10}, max_keep_ckpts=1))
'''


#: Where a start leaves the head of the boxes as it is, it has no place yet.
_BOX_HEADS = {
    'fpn': 'model.roi_head.bbox_head.num_classes = len(classes)',
    'c4': 'model.roi_head.bbox_head = dict(num_classes=len(classes))',
}
_MASK_HEAD = '\nmodel.roi_head.mask_head = dict(num_classes=len(classes))'


def _pipelines(side: int) -> str:
    """Let the images have another size than COCO's."""
    lengths = [(round(s * 5 / 3), s) for s in range(side - 160, side + 1, 32)]
    return f"""train_pipeline = _base_.train_pipeline
train_pipeline[2].scales = {lengths!r}
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = {lengths[-1]!r}"""
