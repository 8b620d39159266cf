# Copyright (c) mmloc contributors. All rights reserved.
"""The demos run as in their help texts, with untrained networks."""
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from mmloc.engine.launch import load_config
from mmloc.registry import MODELS

pytestmark = pytest.mark.slow
DETECTORS = 'configs/insloc/downstream/{}_r18-scratch_fpn_toy.py'


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    # A process of its own: forking this one, whose threads are many, may hang.
    subprocess.run(
        [sys.executable, 'tools/dataset_tools/make_toy_dataset.py',
         '--unlabeled', '0', '--train', '1', '--val', '2', '--workers', '1',
         '--out', str(folder)], check=True)
    return folder / 'val'


def _save(config, path):
    model = MODELS.build(load_config(config).model)
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


def _run(monkeypatch, demo, *args):
    monkeypatch.setattr(sys, 'argv', [demo, *map(str, args)])
    runpy.run_path(f'demo/{demo}.py', run_name='__main__')


@pytest.mark.parametrize('detector', ['faster-rcnn', 'mask-rcnn'])
def test_detections_are_drawn(detector, toy, tmp_path, monkeypatch, capsys):
    config = DETECTORS.format(detector)
    weights = _save(config, tmp_path / 'weights.pth')
    _run(monkeypatch, 'image_demo', toy, config, weights, '--score-thr', 0,
         '--out-dir', tmp_path / 'out', '--device', 'cpu')
    for path in sorted(toy.iterdir()):
        drawn = cv2.imread(str(tmp_path / 'out' / f'{path.stem}.png'))
        plain = cv2.resize(cv2.imread(str(path)), (640, 640),
                           interpolation=cv2.INTER_CUBIC)
        changed = (np.abs(drawn.astype(int) - plain).max(axis=2) > 40).mean()
        assert 0.005 < changed < 0.9
    assert '50 of 50 detections drawn' in capsys.readouterr().out


def test_similarities_are_drawn(toy, tmp_path, monkeypatch, capsys):
    config = 'configs/soco/soco_r18_fpn_toy.py'
    weights = _save(config, tmp_path / 'weights.pth')
    images = sorted(toy.iterdir())
    args = (*images, config, weights, '--sources', 'c4', 'p3', 'embedding',
            '--box', 20, 20, 60, 60, '--device', 'cpu')
    _run(monkeypatch, 'box_similarity_demo', *args, '--out',
         tmp_path / 'a.png')
    out = capsys.readouterr().out
    assert all(f'{name}: best at' in out for name in ('c4', 'p3', 'embedding'))
    assert cv2.imread(str(tmp_path / 'a.png')).shape[1] > 1200
    with pytest.raises(SystemExit):
        _run(monkeypatch, 'box_similarity_demo', *args[:4], '--sources', 'c9',
             '--box', 20, 20, 60, 60)
    assert "no features 'c9'" in capsys.readouterr().err
