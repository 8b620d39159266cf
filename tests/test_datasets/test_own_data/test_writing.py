# Copyright (c) mmloc contributors. All rights reserved.
import itertools
import json

import pytest

from mmloc.datasets.own_data import (
    Advice,
    Choices,
    LabeledSet,
    write_coco,
    write_configs,
)
from mmloc.engine.launch import load_config

ADVICE = Advice(16, 0.001, 300, 4, 0.005, 2500, 480)


@pytest.fixture
def labeled():
    return LabeledSet(
        'mine', '/images', [dict(id=5, file_name='a.png', width=9, height=8)],
        [dict(id=77, image_id=5, category_id=2, bbox=[1., 2., 3., 4.]),
         dict(image_id=5, category_id=1, bbox=[0, 0, 2, 2], iscrowd=1,
              area=3.5, segmentation=[[0, 0, 2, 0, 2, 2]])],
        {1: "it's a cat", 2: 'dog'})


def test_coco(labeled, tmp_path):
    write_coco(labeled, tmp_path / 'a.json')
    coco = json.loads((tmp_path / 'a.json').read_text())
    assert coco['images'] == labeled.images
    assert coco['categories'] == [dict(id=1, name="it's a cat"),
                                  dict(id=2, name='dog')]
    first, second = coco['annotations']
    assert (first['id'], first['area'], first['iscrowd']) == (1, 12, 0)
    assert (second['id'], second['area'], second['iscrowd']) == (2, 3.5, 1)
    assert second['segmentation'] == [[0, 0, 2, 0, 2, 2]]
    with pytest.raises(ValueError, match='is there already'):
        write_coco(labeled, tmp_path / 'a.json')


_QUICK = ('insloc', 'fpn', 'mask-rcnn', 'torchvision://resnet50')


@pytest.mark.parametrize('choices', [
    pytest.param(choices,
                 marks=[] if choices == _QUICK else pytest.mark.slow)
    for choices in itertools.product(
        ('insloc', 'soco'), ('fpn', 'c4'), ('faster-rcnn', 'mask-rcnn'),
        (None, 'torchvision://resnet50'))])
def test_configs(labeled, tmp_path, choices):
    choices = Choices(*choices)
    write_configs(tmp_path, choices, 'photos', [labeled] * 2, ADVICE)
    pretrain = load_config(str(tmp_path / 'pretrain.py'))
    assert choices.method in pretrain.model.type.lower()
    assert bool(pretrain.model.get('neck')) == (choices.neck == 'fpn')
    init = pretrain.model.backbone.get('init_cfg') or {}
    assert init.get('checkpoint') == choices.weights
    assert pretrain.optim_wrapper.optimizer.lr == 0.001
    assert pretrain.train_cfg.max_epochs == 300
    assert max(s.end for s in pretrain.param_scheduler) == 300
    last = pretrain.param_scheduler[-1]
    assert last.T_max == last.end - last.begin
    images = pretrain.train_dataloader.dataset
    if choices.method == 'insloc':
        assert pretrain.model.bn_splits == 4
        images = images.dataset
    else:
        assert images.pipeline[1].proposal_file == str(
            tmp_path / 'unlabeled.mmprop')
    assert images.ann_file == str(tmp_path / 'unlabeled.txt')
    assert images.data_prefix.img.startswith('/')
    assert images.data_prefix.img.endswith('/photos')

    detector = load_config(str(tmp_path / 'detector.py'))
    assert detector.start_family == choices.neck
    assert detector.start.name == f'{choices.method}_{choices.neck}'
    assert detector.load_from == str(tmp_path / 'pretrain/epoch_300.pth')
    heads = ['bbox_head'] + ['mask_head'] * (choices.detector == 'mask-rcnn')
    for head in heads:
        assert detector.model.roi_head[head].num_classes == 2
    assert ('mask_head' in detector.model.roi_head) == (len(heads) == 2)
    assert (detector.model.roi_head.bbox_head.type ==
            'mmloc.ExtraNormBBoxHead') == (choices.neck == 'fpn' and
                                           choices.method == 'insloc')
    assert detector.optim_wrapper.optimizer.lr == 0.005
    for name in ('train', 'val'):
        data = detector[f'{name}_dataloader'].dataset
        assert data.metainfo.classes == ("it's a cat", 'dog')
        assert (data.data_root, data.ann_file, data.data_prefix.img) == (
            str(tmp_path), f'{name}.json', '/images')
    scales = detector.train_dataloader.dataset.pipeline[2].scales
    assert [side for _, side in scales] == [320, 352, 384, 416, 448, 480]
    assert detector.test_dataloader.dataset.pipeline[1].scale == (800, 480)
    assert detector.test_evaluator.ann_file == str(tmp_path / 'val.json')
    assert (detector.train_cfg.max_iters, detector.param_scheduler[-1].end
            ) == (2500, 2500)
