# Copyright (c) mmloc contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CityscapesDataset
from pycocotools import mask as mask_api

from mmloc.evaluation import CityScapesMetric, LVISMetric
from tests import tiny_data


def _sample(masks, labels, **info):
    """Predict exactly these objects."""
    masks = torch.from_numpy(np.stack(masks).astype(bool))
    boxes = [mask.nonzero().aminmax(dim=0) for mask in masks]
    return dict(
        info, ori_shape=masks.shape[1:], pred_instances=dict(
            bboxes=torch.stack([torch.cat([low.flip(0), high.flip(0) + 1])
                                for low, high in boxes]).float(),
            scores=torch.linspace(0.9, 0.5, len(masks)),
            labels=torch.tensor(labels), masks=masks))


@pytest.fixture
def lvis(tmp_path):
    """The metric of a tiny set, and what its annotations say."""
    path = tiny_data.make_lvis(tmp_path) / 'annotations/lvis_v1_val.json'
    data = json.loads(path.read_text())
    samples = []
    for image in data['images']:
        found = [x for x in data['annotations']
                 if x['image_id'] == image['id']]
        size = image['height'], image['width']
        samples.append(_sample(
            [mask_api.decode(mask_api.merge(
                mask_api.frPyObjects(x['segmentation'], *size)))
             for x in found],
            [x['category_id'] - 1 for x in found], img_id=image['id']))
    return LVISMetric(str(path), metric=['bbox', 'segm']), samples


def test_lvis_metric_finds_all_right(lvis):
    metric, samples = lvis
    metric.process({}, samples)
    found = metric.evaluate(len(samples))
    assert found['lvis/segm_AP'] == 1
    # A polygon's box ends in the middle of a pixel.
    assert found['lvis/bbox_AP50'] == 1
    assert {f'lvis/{kind}_{name}' for kind in ('bbox', 'segm') for name in (
        'AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'APr', 'APc', 'APf')
    } == set(found)


def test_lvis_metric_finds_wrong_labels(lvis):
    metric, samples = lvis
    for sample in samples:
        sample['pred_instances']['labels'] += 8
    metric.process({}, samples)
    assert metric.evaluate(len(samples))['lvis/segm_AP'] == 0


@pytest.mark.parametrize(('shift', 'ap'), [(0, 1), (1, 0)])
def test_cityscapes_metric(tmp_path, shift, ap):
    root = tiny_data.make_cityscapes(tmp_path / 'data')
    metric = CityScapesMetric(
        str(tmp_path / 'out'), str(root / 'gtFine/val'))
    metric.dataset_meta = CityscapesDataset.METAINFO
    path = next((root / 'leftImg8bit/val').rglob('*.png'))
    truth = cv2.imread(
        str(path).replace('leftImg8bit', 'gtFine').replace(
            'gtFine.png', 'gtFine_instanceIds.png'), cv2.IMREAD_UNCHANGED)
    ids = [i for i in np.unique(truth) if i >= 1000]
    classes = list(tiny_data.CITYSCAPES_IDS.values())
    labels = [(classes.index(i // 1000) + shift) % 8 for i in ids]
    metric.process(
        {}, [_sample([truth == i for i in ids], labels, img_path=str(path))])
    found = metric.evaluate(1)
    assert set(found) == {'cityscapes/mAP', 'cityscapes/AP@50'}
    assert found['cityscapes/AP@50'] == pytest.approx(ap)


def test_numpy_stays_as_it_is(lvis):
    before = dir(np)
    metric, samples = lvis
    metric.process({}, samples)
    metric.evaluate(len(samples))
    assert dir(np) == before


@pytest.mark.parametrize(('metric', 'package'), [
    (LVISMetric, 'lvis'), (CityScapesMetric, 'cityscapesscripts')])
def test_missing_package(metric, package, monkeypatch):
    monkeypatch.setattr(
        'mmloc.evaluation.instance_metrics.find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError,
                       match=f'package {package}, .* run "pip install'):
        metric('prefix')
