# Copyright (c) mmloc contributors. All rights reserved.
from pathlib import Path

import pytest
from mmengine.config import ConfigDict

from mmloc.engine.launch import load_config
from mmloc.engine.own_images import set_epochs, use_images

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def load(name):
    return load_config(str(CONFIGS / name))


@pytest.fixture
def images(tmp_path):
    """A folder with 11 files that are named like images."""
    folder = tmp_path / 'my, images' / 'of today'
    folder.mkdir(parents=True)
    for i in range(11):
        (folder / f'{i}.JPG').touch()
    return folder.parent


def test_images_and_batch_go_into_the_config(images):
    cfg = load('insloc/insloc_r50_fpn_1xb32-coslr-200e_folder.py')
    assert use_images(cfg, str(images), 4) == (11, 2)
    dataset = cfg.train_dataloader.dataset.dataset
    assert dataset.data_root == str(images)
    assert dataset.on_corrupt == 'skip'
    assert cfg.train_dataloader.batch_size == 4


@pytest.mark.parametrize('name', [
    'soco_r18_fpn_toy.py', 'soco_r50_fpn_1xb64-coslr-100e_folder.py'])
def test_proposals_are_computed_when_seen(images, name):
    cfg = load(f'soco/{name}')
    on_empty = cfg.train_dataloader.dataset.pipeline[1].on_empty
    use_images(cfg, str(images), 4)
    assert cfg.train_dataloader.dataset.pipeline[1] == dict(
        type='mmloc.GenerateProposals', cache_dir='data/proposal_cache',
        on_empty=on_empty)


@pytest.mark.parametrize(('batch', 'folder', 'config', 'words'), [
    (None, '', 'insloc_r18_fpn_toy.py', 'there are 11 images in'),
    (4, 'empty', 'insloc_r18_fpn_toy.py', 'there are no images in'),
    (4, '', 'downstream/faster-rcnn_r18-scratch_fpn_toy.py',
     'is not a pretraining config'),
])
def test_images_that_do_not_do(images, batch, folder, config, words):
    (images / 'empty').mkdir()
    cfg = load(f'insloc/{config}')
    with pytest.raises(ValueError, match=words):
        use_images(cfg, str(images / folder), batch)


def spans(cfg):
    return [(s.begin, s.end, s.get('T_max')) for s in cfg.param_scheduler]


@pytest.mark.parametrize(('epochs', 'expected'), [
    (400, [(0, 40, None), (40, 400, 360)]),
    (5, [(0, 5, 5)]),  # too short for a warm-up
    (15, [(0, 2, None), (2, 15, 13)]),
])
def test_the_schedule_follows_the_epochs(epochs, expected):
    cfg = load('soco/soco_r50_fpn_1xb64-coslr-100e_folder.py')
    set_epochs(cfg, epochs)
    assert cfg.train_cfg.max_epochs == epochs
    assert spans(cfg) == expected


def test_a_warm_up_in_iterations_stays():
    cfg = load('insloc/insloc_r50_fpn_1xb32-coslr-200e_folder.py')
    warm_up = ConfigDict(type='LinearLR', by_epoch=False, begin=0, end=500)
    cfg.param_scheduler.insert(0, warm_up)
    set_epochs(cfg, 7)
    assert spans(cfg) == [(0, 500, None), (0, 7, 7)]
