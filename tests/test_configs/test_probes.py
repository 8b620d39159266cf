# Copyright (c) mmloc contributors. All rights reserved.
"""The toy probes run on toy images, and see the same patches every time."""
import subprocess
import sys

import pytest

from mmloc.engine import launch

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    # A process of its own: forking this one, whose threads are many, may hang.
    subprocess.run(
        [sys.executable, 'tools/dataset_tools/make_toy_dataset.py',
         '--unlabeled', '0', '--train', '6', '--val', '6', '--workers', '1',
         '--out', str(folder)], check=True)
    return str(folder)


def _run(name, tmp_path, options, start='scratch'):
    cfg = launch.load_config(f'configs/transfer/{name}_r18_toy.py', {
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
    } | options, start)
    launch.require_probe(cfg)
    cfg.work_dir = str(tmp_path)
    return launch.build_runner(cfg, 'test').test()


def test_roi_knn(toy, tmp_path):
    found = _run('roi-knn', tmp_path, {
        'test_dataloader.dataset.datasets.0.data_root': toy,
        # The bank itself: every box is its own nearest.
        'test_dataloader.dataset.datasets.1.data_root': toy,
        'test_dataloader.dataset.datasets.1.ann_file':
        'annotations/train.json',
        'test_dataloader.dataset.datasets.1.data_prefix.img': 'train/',
        'test_evaluator.k': 1,
    })
    assert found['roi_knn/c3_top1'] == found['roi_knn/p5_class_mean'] == 100
    assert found['roi_knn/majority_top1'] < 60


def test_patch_localization(toy, tmp_path):
    images = 'test_dataloader.dataset.dataset.dataset'
    options = {f'{images}.data_root': toy}
    first = _run('patch-localization', tmp_path, options)
    again = _run('patch-localization', tmp_path,
                 options | {'randomness.seed': 7})
    # New weights differ, what they look for does not.
    places = {name for name in first if 'pixels' in name or 'middle' in name}
    assert len(places) == 8
    assert {first[name] for name in places} == {again[name] for name in places}
    assert any(first[name] != again[name] for name in first)
    assert first['patch/zoomed_pixels_hit'] > first['patch/chance_hit']
