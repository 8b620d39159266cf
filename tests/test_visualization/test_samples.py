# Copyright (c) mmloc contributors. All rights reserved.
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmloc.proposals import write_proposals
from mmloc.proposals.file_layout import Proposals
from mmloc.visualization import PALETTE, draw_samples

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Five images, and their proposals."""
    folder = tmp_path_factory.mktemp('samples')
    records = []
    (folder / 'unlabeled').mkdir()
    for i in range(5):
        image = np.random.randint(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(folder / 'unlabeled' / f'{i}.jpg'), image)
        boxes = np.float32([[10, 10, 60, 50], [20, 15, 50, 60]])
        records.append(Proposals(f'{i}.jpg', 64, 64, boxes))
    write_proposals(str(folder / 'unlabeled.mmprop'), records, {})
    return folder


def load(method, folder):
    cfg = Config.fromfile(CONFIGS / method / f'{method}_r18_fpn_toy.py')
    images = cfg.train_dataloader.dataset
    if method == 'insloc':
        images = images.dataset
    else:
        images.pipeline[1].proposal_file = str(folder / 'unlabeled.mmprop')
    images.data_root = str(folder)
    return cfg


@pytest.mark.parametrize('method', ['insloc', 'soco'])
def test_samples_are_the_same_each_time(method, folder):
    cfg = load(method, folder)
    first, second = draw_samples(cfg, 2), draw_samples(cfg, 2)
    assert np.array_equal(first, second)
    assert first.std() > 10
    for others in (dict(start=1), dict(seed=1)):
        sheet = draw_samples(cfg, 2, **others)
        assert sheet.shape != first.shape or (sheet != first).any()


@pytest.mark.parametrize('method', ['insloc', 'soco'])
def test_shows_the_colours_that_the_data_preprocessor_will_give(
        method, folder):
    cfg = load(method, folder)
    expected = draw_samples(cfg, 3)
    defer = dict(type='mmloc.DeferPhotometric')
    images = cfg.train_dataloader.dataset
    if method == 'insloc':
        images = images.dataset
    images.pipeline.insert(1, defer)
    np.testing.assert_array_equal(draw_samples(cfg, 3), expected)


def test_the_level_rule_is_the_one_of_the_config(folder):
    cfg = load('soco', folder)
    cfg.model.head.thresholds = (1, 2, 3, 4)
    # Now all are too large.
    sheet = draw_samples(cfg, 1)[:-26]
    for color, drawn in (('orange', True), ('sky', False), ('green', False)):
        assert (sheet == PALETTE[color]).all(-1).any() == drawn


def test_errors(folder):
    cfg = load('soco', folder)
    with pytest.raises(ValueError, match=r'from index 5 on .* of the 5'):
        draw_samples(cfg, 1, start=5)
    with pytest.raises(ValueError, match='0 samples from index 0'):
        draw_samples(cfg, 0)
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='mmloc.LoadImage'), dict(type='mmloc.PackRegionInputs')]
    with pytest.raises(ValueError, match='samples without views'):
        draw_samples(cfg, 1)
