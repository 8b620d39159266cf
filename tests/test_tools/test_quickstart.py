# Copyright (c) mmloc contributors. All rights reserved.
"""tools/quickstart.sh, with real trainings of a few iterations."""
import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv.ops
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmloc  # noqa: F401, lets torch read checkpoints

ROOT = Path(__file__).resolve().parents[2]
TINY = ('--pretrain-options', 'default_hooks.logger.interval=1',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False')


@pytest.fixture
def quickstart(monkeypatch, tmp_path):
    """The module of the script, its checkout being an empty folder."""
    spec = importlib.util.spec_from_file_location(
        'quickstart', ROOT / 'tools' / 'quickstart.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'ROOT', tmp_path)
    return module


@pytest.fixture
def images(tmp_path):
    """A folder with blanks in its name, ten images and a damaged one."""
    folder = tmp_path / 'my, images' / 'of today'
    folder.mkdir(parents=True)
    for i in range(10):
        image = np.random.randint(0, 255, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f'{i}.JPG'),
                    cv2.resize(image, (160, 120)))
    (folder / 'damaged.png').write_text('no image')
    return folder.parent


def run_script(cwd, *args):
    """As a user does, in the environment of the tests."""
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    return subprocess.run(
        ['bash', ROOT / 'tools' / 'quickstart.sh', *map(str, args)], cwd=cwd,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=dict(os.environ, PATH=path, CI='true', OMP_NUM_THREADS='1'))


@pytest.mark.parametrize(('args', 'words'), [
    (['--images', 'none'], "the folder 'none' of --images does not exist"),
    (['--images', '.', '--epochs', '0'], '--epochs is 0, expected 1 or more'),
    (['--images', '.', '--toy-dir', 'x'], '--toy-dir can only be used'),
    (['--batch-size', '4'], '--batch-size can only be used with --images'),
    (['--images', '.', '--method', 'all'], '--method all can only be used'),
    (['--images', '.', '--config', 'x', '--method', 'soco'], '--method can'),
    (['--method', 'moco'], "invalid choice: 'moco'"),
    (['--work-dir', 'full'], "'full' is not empty"),
    (['--toy-dir', 'a b'], "a b' has a blank"),
    (['--seeed', '1'], '--seeed 1; --help lists'),
    (['--seed', 'one'], "invalid int value: 'one'; --help lists"),
])
def test_mistakes_are_told_before_the_set_up(tmp_path, args, words):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'mine.txt').touch()
    done = run_script(tmp_path, *args)
    assert done.returncode == 2
    assert done.stdout == ''
    assert re.fullmatch('error: .*\n', done.stderr)
    assert words in done.stderr


def test_help_needs_no_set_up(tmp_path):
    done = run_script(tmp_path, '--help')
    assert done.returncode == 0
    assert done.stderr == ''
    assert 'usage: bash tools/quickstart.sh' in done.stdout


def test_work_dir_is_a_new_folder(quickstart, tmp_path):
    args = argparse.Namespace(work_dir=None)
    folders = []
    for _ in range(3):
        folder = quickstart.choose_work_dir(args)
        assert quickstart.choose_work_dir(args) == folder  # still empty
        (folder / 'file').touch()
        folders.append(folder.relative_to(tmp_path).as_posix())
    assert folders == ['work_dirs/quickstart', 'work_dirs/quickstart-2',
                       'work_dirs/quickstart-3']
    assert quickstart.short(folder) == folders[-1]
    assert quickstart.short('/elsewhere/x') == '/elsewhere/x'


def test_a_gpu_without_operators_is_hidden(quickstart, monkeypatch):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(mmcv.ops, 'get_compiling_cuda_version',
                        lambda: 'not available')
    said = []
    args = argparse.Namespace(work_dir=None, seed=3)
    start = quickstart.Quickstart(args, said.append)
    assert os.environ['CUDA_VISIBLE_DEVICES'] == ''
    assert not start.gpu
    assert 'a GPU that is not used' in said[0]
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')  # to be undone


def metric(folder, key):
    """The last value of a scalar, in percent, as the table writes it."""
    file, = folder.glob('*/vis_data/scalars.json')
    lines = map(json.loads, file.read_text().splitlines())
    return f'{100 * [line[key] for line in lines if key in line][-1]:.1f}'


@pytest.mark.slow
def test_toy_run(tmp_path):
    """The table and the page say what the logs say."""
    done = run_script(
        tmp_path, '--method', 'all', '--toy-dir', 'toy', '--toy-images', 32, 8,
        4, '--work-dir', 'run', '--seed', 5, *TINY,
        'train_dataloader.batch_size=8', 'train_cfg.max_epochs=1',
        '--finetune-options',
        'train_cfg.max_epochs=2', 'train_cfg.val_interval=2',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.logger.interval=1', 'param_scheduler=None',
        'train_dataloader.batch_size=2', 'model.test_cfg.rcnn.score_thr=-1')
    assert done.returncode == 0, done.stderr
    run = tmp_path / 'run'
    page = (run / 'report.html').read_text()
    for stage, start in (('from_insloc', 'InsLoc'), ('from_soco', 'SoCo'),
                         ('from_scratch', 'new weights')):
        cells = [start, metric(run / stage, 'coco/bbox_mAP'),
                 metric(run / stage, 'coco/bbox_mAP_50')]
        assert re.search(' +'.join(map(re.escape, cells)) + r' +\d+:\d\d',
                         done.stdout)
        html = ''.join(rf'<td[^>]*>{re.escape(cell)}</td>' for cell in cells)
        assert re.search(html, page)
        config, = (run / stage).glob('*.py')
        assert Config.fromfile(config).randomness.seed == 5
    # Detections, of each method samples and curves, and the detectors' curve.
    assert re.findall(r'src="(.{10})', page) == 6 * ['data:image']
    assert len(re.findall(r'backbone +\| 120 of 120', page)) == 2
    assert 'python tools/train.py configs/insloc/insloc_r18' in page
    assert 'python tools/train.py configs/soco/soco_r18' in page
    proposals = tmp_path / 'toy' / 'unlabeled.mmprop'
    assert f'Wrote {proposals}' in (run / 'proposals_soco.log').read_text()
    assert done.stdout.rstrip().splitlines()[-2] == (
        f'Report: {run / "report.html"}')
    assert 'Environment variables' not in done.stdout
    assert 'mmengine' in (run / 'pretrain_insloc.log').read_text()


@pytest.mark.slow
@pytest.mark.parametrize(('method', 'options'), [
    ('insloc', ()),
    ('soco', ('train_dataloader.dataset.pipeline.1.cache_dir={}', )),
])
def test_own_images(tmp_path, images, method, options):
    cache = tmp_path / 'cache'
    done = run_script(
        tmp_path, '--images', images.name, '--work-dir', 'my run', '--method',
        method, '--epochs', 1, '--batch-size', 4, *TINY,
        *(option.format(cache) for option in options))
    assert done.returncode == 0, done.stderr
    assert 'Without a GPU the small ResNet-18' in done.stdout
    assert '11 images, 1 epochs of 2 batches of 4.' in done.stdout
    weights = tmp_path / 'my run' / f'pretrain_{method}' / 'epoch_1.pth'
    assert f"load_from = '{weights}'" in done.stdout
    assert (f'python tools/train.py configs/{method}/downstream/faster-rcnn_'
            f"r18-{method}-pre_fpn_toy.py --load-from '{weights}'"
            ) in done.stdout
    state = torch.load(weights, weights_only=True)['state_dict']
    assert 'backbone.conv1.weight' in state
    page = (tmp_path / 'my run' / 'report.html').read_text()
    assert page.count('src="data:image') == 2
    assert cache.is_dir() == (method == 'soco')


@pytest.mark.slow
def test_a_failing_stage(tmp_path):
    """One sentence ends the script; what is finished stays."""
    done = run_script(
        tmp_path, '--toy-dir', 'toy', '--toy-images', 2, 2, 1, '--work-dir',
        'run', '--pretrain-options', 'modle=1')
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert re.fullmatch(
        'error: "InsLoc pretraining" failed after .* did you mean .model.. '
        rf'\(all of its output is in {tmp_path}/run/pretrain_insloc.log\)',
        last)
    assert 'Traceback' not in done.stderr
    assert (tmp_path / 'toy' / 'meta.json').is_file()
