# Copyright (c) mmloc contributors. All rights reserved.
"""Where protocols part from mmdet's and mmpretrain's configs on purpose."""
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, METRICS, MODELS, DefaultScope
from mmengine.structures import InstanceData
from torch.nn.modules.batchnorm import _BatchNorm

from tests.tiny_data import make_voc

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'transfer'
_config = cache(lambda name: Config.fromfile(CONFIGS / f'{name}.py'))


@pytest.fixture(autouse=True)
def _scope():
    register_all_modules(init_default_scope=True)


def test_voc_trains_on_difficult_objects_of_both_years(tmp_path):
    make_voc(tmp_path)
    cfg = _config('faster-rcnn_r50_c4_24k_voc0712')
    data = cfg.train_dataloader.dataset.to_dict()
    for part in data['datasets']:
        part['data_root'] = str(tmp_path)
    data = DATASETS.build(data)
    found = [data[i]['data_samples'] for i in range(len(data))]
    assert {sample.img_path.split('/')[-3] for sample in found} == {
        'VOC2007', 'VOC2012'}
    marked = [[obj['ignore_flag'] for obj in data.get_data_info(i)[
        'instances']] for i in range(len(data))]
    assert any(map(any, marked))
    assert [len(sample.gt_instances) for sample in found] == [
        len(flags) for flags in marked]


def test_voc_is_measured_over_ten_thresholds_at_11_recalls():
    """Of 4 objects the first is found, then there is a box at IoU 0.8."""
    metric = METRICS.build(
        _config('faster-rcnn_r50_c4_24k_voc0712').val_evaluator)
    metric.dataset_meta = dict(classes=('thing', ), dataset_type='VOC2007')
    truth = np.array([[100. * i, 0, 100 * i + 49, 49] for i in range(4)])
    boxes = truth[:2].copy()
    boxes[1, 2] -= 10  # 40 of 50 pixels
    metric.process({}, [dict(
        gt_instances=_instances(truth), ignored_instances=_instances(
            np.zeros((0, 4))), pred_instances=_instances(boxes, [0.9, 0.8]))])
    values = metric.compute_metrics(metric.results)
    # Recalls 0 to 0.5 or, without the second box, to 0.25, in tenths.
    half, quarter = 6 / 11, 3 / 11
    assert values['AP50'] == values['AP75'] == round(half, 3)
    assert values['AP95'] == round(quarter, 3)
    assert values['mAP'] == pytest.approx((7 * half + 3 * quarter) / 10)


def _instances(boxes, scores=()):
    data = InstanceData(bboxes=torch.tensor(boxes),
                        labels=torch.zeros(len(boxes), dtype=torch.int64))
    if scores:
        data.scores = torch.tensor(scores)
    return data


@pytest.mark.parametrize(('suffix', 'moving'), [
    ('', False), pytest.param('-moving-bn', True, marks=pytest.mark.slow)])
def test_only_the_published_probe_moves_statistics(suffix, moving):
    cfg = _config(f'linear-probe_r50_8xb32-coslr-100e{suffix}_in1k')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model).train()
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    norms = [module for module in model.backbone.modules()
             if isinstance(module, _BatchNorm)]
    assert {norm.training for norm in norms} == {moving}
    rates = {id(parameter): group['lr'] for group in optimizer.param_groups
             for parameter in group['params'] if parameter.requires_grad}
    assert {rates.get(id(parameter), 0)
            for parameter in model.backbone.parameters()} == {0}
    assert rates[id(model.head.fc.weight)] == 30


def test_cityscapes_begins_from_the_start_and_not_from_coco():
    cfg = _config('mask-rcnn_r50_fpn_24k_cityscapes')
    assert cfg.load_from is None
    assert cfg.auto_scale_lr.base_batch_size == 8
    assert cfg.val_evaluator[1].outfile_prefix is None
