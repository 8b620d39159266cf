# Copyright (c) mmloc contributors. All rights reserved.
"""The configs come to what has been published, in the papers' terms."""
import copy
from functools import cache
from pathlib import Path

import pytest

from mmloc.engine import launch
from mmloc.engine.recipes import COLUMNS, resolve_recipe
from mmloc.engine.starts import find_start, lay_start

TRANSFER = Path(__file__).resolve().parents[2] / 'configs' / 'transfer'

#: detectron2's configurations of InsLoc, of SoCo (and those of its author's
#: fork), and MoCo's, which the C4 rows build on.
COCO = {
    'length': '90000 iterations', 'steps': '60000 80000', 'batch': '16',
    'warm-up': '1000 iterations', 'lr': '0.02', 'norm decay': 'no',
    'train sides': '640-800 by 32', 'test side': '800', 'frozen': 'nothing',
    'precise BN': 'yes'}  # yapf: disable
TWICE = {'length': '180000 iterations', 'steps': '120000 160000'}
FPN = dict(COCO, norm='SyncBN: backbone, neck, box head, mask head')
C4 = {**COCO, 'norm': 'SyncBN: backbone, shared head',
      'extra norm': 'shared head'}
VOC = {**C4, 'length': '24000 iterations', 'steps': '18000 22000',
       'warm-up': '100 iterations', 'train sides': '480-800 by 32'}
LINEAR = {
    'length': '100 epochs', 'steps': 'cosine', 'warm-up': '5 epochs',
    'batch': '256', 'lr': '30', 'weight decay': '0'}  # yapf: disable
PROTOCOLS = {
    'mask-rcnn_r50_fpn_1x_coco': FPN,
    'mask-rcnn_r50_fpn_2x_coco': {**FPN, **TWICE},
    'mask-rcnn_r50_c4_1x_coco': C4,
    'mask-rcnn_r50_c4_2x_coco': {**C4, **TWICE},
    'faster-rcnn_r50_c4_24k_voc0712': VOC,
    'mask-rcnn_r50_fpn_5pct_mini-coco': {
        **FPN, 'length': '5500 iterations', 'steps': '4000 5000'},
    'mask-rcnn_r50_fpn_10pct_mini-coco': {
        **FPN, 'length': '10000 iterations', 'steps': '7000 9000'},
    'mask-rcnn_r50_fpn_1x_lvis-v1': {**FPN, 'metrics': 'LVISMetric'},
    'mask-rcnn_r50_fpn_24k_cityscapes': {
        'length': '24000 iterations', 'steps': '18000', 'batch': '8',
        'lr': '0.01', 'train sides': '800-1024 by 32', 'test side': '1024'},
    'linear-probe_r50_8xb32-coslr-100e_in1k': LINEAR,
    'linear-probe_r50_8xb32-coslr-100e-moving-bn_in1k': LINEAR,
}  # yapf: disable
RGB = {'images': 'RGB, std 58.395', 'stride in': '3x3'}
BASELINE = {**RGB, 'weight decay': '0.0001'}
STARTS = {
    'supervised_msra': {
        'images': 'BGR, std 1', 'stride in': '1x1',
        'weight decay': '0.0001', 'extra norm': 'no'},
    'mocov2': {**BASELINE, 'extra norm': 'no'},
    'insloc_fpn': {**BASELINE, 'extra norm': 'box head'},
    'insloc_c4': BASELINE,
    'soco_fpn': {**RGB, 'weight decay': '2.5e-05', 'extra norm': 'no'},
    'soco_c4': {**RGB, 'weight decay': '2.5e-05'},
    'soco_star_fpn': {**RGB, 'weight decay': '2.5e-05', 'extra norm': 'no'},
}  # yapf: disable


_config = cache(launch.load_config)


def _recipe(protocol, start):
    cfg = copy.deepcopy(_config(str(TRANSFER / f'{protocol}.py')))
    lay_start(cfg, _config(find_start(start)))
    return resolve_recipe(cfg, protocol, start)


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_protocols_are_as_published(protocol):
    recipe = _recipe(protocol, 'scratch')
    wanted = PROTOCOLS[protocol]
    assert {key: recipe[key] for key in wanted} == wanted
    assert recipe.keys() == set(COLUMNS)
    cfg = _config(str(TRANSFER / f'{protocol}.py'))
    # The published learning rates are for eight GPUs.
    assert 8 * cfg.train_dataloader.batch_size == int(recipe['batch'])


@pytest.mark.parametrize('start', STARTS)
def test_starts_are_as_published(start):
    protocol = ('mask-rcnn_r50_c4_1x_coco' if start.endswith('_c4') else
                'mask-rcnn_r50_fpn_1x_coco')
    wanted = {**PROTOCOLS[protocol], **STARTS[start]}
    recipe = _recipe(protocol, start)
    assert {key: recipe[key] for key in wanted} == wanted


def test_lvis_repeats_and_keeps_what_is_published():
    cfg = _config(str(TRANSFER / 'mask-rcnn_r50_fpn_1x_lvis-v1.py'))
    assert cfg.train_dataloader.dataset.oversample_thr == 0.001
    assert cfg.model.test_cfg.rcnn.score_thr == 1e-4
    assert cfg.model.test_cfg.rcnn.max_per_img == 300
    assert cfg.model.roi_head.mask_head.num_classes == 1203
