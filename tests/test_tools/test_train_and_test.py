# Copyright (c) mmloc contributors. All rights reserved.
"""tools/train.py and tools/test.py on a real detector, in this process."""
import importlib.util
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _no_former_run():
    """Forget what mmengine keeps for the life of a process."""
    managers = (MMLogger, MessageHub, DefaultScope, Visualizer,
                DetLocalVisualizer)
    for manager in managers:
        manager._instance_dict.clear()
    yield
    for manager in managers:
        manager._instance_dict.clear()


@pytest.fixture
def config(tiny_coco, tmp_path):
    """The toy detector on 8 images: 4 iterations an epoch."""
    data = f"""dict(
    data_root={str(tiny_coco)!r}, ann_file='annotations.json',
    data_prefix=dict(img='images'),
    metainfo=dict(_delete_=True, classes=('square', 'bar')))"""
    base = (ROOT / 'configs/insloc/downstream' /
            'faster-rcnn_r18-scratch_fpn_toy.py')
    file = tmp_path / 'detector.py'
    file.write_text(f"""
_base_ = {str(base)!r}
loader = dict(batch_size=2, num_workers=0, persistent_workers=False,
              dataset={data})
model = dict(roi_head=dict(bbox_head=dict(num_classes=2)))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
val_evaluator = dict(ann_file={str(tiny_coco / 'annotations.json')!r})
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=5)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
""")
    return file


def _run(monkeypatch, tool, *args):
    spec = importlib.util.spec_from_file_location(
        f'mmloc_tools_{tool}', ROOT / 'tools' / f'{tool}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    module.main()


def _log(work_dir):
    """Text and training scalars of the newest run of a work folder."""
    run = max(folder for folder in work_dir.iterdir() if folder.is_dir())
    scalars = run / 'vis_data' / 'scalars.json'
    lines = scalars.read_text().splitlines() if scalars.is_file() else []
    scalars = [line for line in map(json.loads, lines) if 'loss' in line]
    return (run / f'{run.name}.log').read_text(), scalars


def test_train_resume_and_test(config, tmp_path, monkeypatch):
    work_dir = tmp_path / 'run'
    flags = ['--work-dir', work_dir, '--seed', '0']
    _run(monkeypatch, 'train', config, *flags, '--resume')
    checkpoint = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    assert checkpoint['meta']['seed'] == 0
    assert checkpoint['meta']['iter'] == 4
    _, scalars = _log(work_dir)
    assert [line['iter'] for line in scalars] == [1, 2, 3, 4]
    assert all(0 < line['loss'] < 100 for line in scalars)

    _run(monkeypatch, 'train', config, *flags, '--resume', '--cfg-options',
         'train_cfg.max_epochs=2')
    text, scalars = _log(work_dir)
    assert 'resumed epoch: 1, iter: 4' in text
    assert 'Transfer from' not in text
    resumed = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    assert resumed['meta']['iter'] == 8

    out = tmp_path / 'predictions.pkl'
    _run(monkeypatch, 'test', config, work_dir / 'epoch_2.pth', '--work-dir',
         tmp_path / 'test', '--out', out, '--show-dir', 'images')
    text, _ = _log(tmp_path / 'test')
    assert 'coco/bbox_mAP:' in text
    assert 'tensors loaded' in text
    assert len(pickle.loads(out.read_bytes())) == 8
    assert len(list((tmp_path / 'test').rglob('images/*.jpg'))) == 8


class _Terminal(io.StringIO):

    def isatty(self):
        return True


def test_a_terminal_gets_one_live_line(config, tmp_path, monkeypatch):
    screen = _Terminal()
    monkeypatch.setattr(sys, 'stdout', screen)
    _run(monkeypatch, 'train', config, '--work-dir', tmp_path / 'run',
         '--cfg-options', 'train_cfg.max_epochs=2')
    shown = screen.getvalue()
    assert sys.stdout is screen
    assert shown.rstrip().endswith('\x1b[?25h')  # the cursor is back
    assert 'epoch 2/2' in shown
    assert 'loss ' in shown
    assert 'Epoch(train)' not in shown
    assert 'Saving checkpoint at 2 epochs' in shown
    assert 'coco/bbox_mAP:' in shown
    assert 'Epoch(train) [2][4/4]' in _log(tmp_path / 'run')[0]


def test_scaled_lr_and_transfer_report(config, tmp_path, monkeypatch):
    weights = tmp_path / 'pre.pth'
    torch.save(
        {
            'backbone.conv1.weight': torch.zeros(16, 3, 7, 7),
            'target.steps': torch.zeros(1),
        }, weights)
    work_dir = tmp_path / 'run'
    _run(monkeypatch, 'train', config, '--work-dir', work_dir, '--load-from',
         weights, '--auto-scale-lr', '--cfg-options', 'param_scheduler=None')
    text, scalars = _log(work_dir)
    # 2 images in place of the config's 8, so a quarter of 0.001.
    assert scalars[0]['lr'] == pytest.approx(0.00025)
    assert '| backbone           | 1 of 120 ' in text
    assert 'ignored (pretext)' in text
    assert 'Only a part of the tensors is loaded in backbone' in text


@pytest.mark.slow
def test_a_start_from_the_command_line(config, tmp_path, monkeypatch):
    """Its weights, here a network alone, its settings, and its folder."""
    monkeypatch.chdir(tmp_path)
    config.write_text(config.read_text() + "start_family = 'fpn'\n")
    weights = torch.full((16, 3, 7, 7), 0.01)
    torch.save({'conv1.weight': weights, 'fc.weight': weights}, 'net.pth')
    Path('mine.py').write_text("""start = dict(name='mine', fpn=dict(
        optim_wrapper=dict(optimizer=dict(lr=0.)), load_from='net.pth'))""")
    flags = ['--start', 'mine.py', '--cfg-options', 'param_scheduler=None']
    _run(monkeypatch, 'train', config, *flags)
    work_dir = tmp_path / 'work_dirs' / 'detector_mine'
    text, scalars = _log(work_dir)
    assert scalars[0]['lr'] == 0
    assert "Start 'mine' of a protocol of family 'fpn', weights: net.pth" in (
        text)
    assert 'Fitted net.pth to the model: 1 tensors' in text
    assert '| backbone           | 1 of 120 ' in text
    checkpoint = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    assert torch.equal(
        checkpoint['state_dict']['backbone.conv1.weight'], weights)

    # As a flag before the checkpoint, too.
    _run(monkeypatch, 'test', config, *flags[:2], work_dir / 'epoch_1.pth')
    assert 'tensors loaded' in _log(work_dir)[0]


def test_starts_and_checkpoints_are_asked_for(config, monkeypatch, capsys):
    for args, words in (
            (['train', config, '--start', 'soco'], "did you mean 'soco_"),
            (['train', config, '--start', 'scratch'], 'has no start_family'),
            (['test', config], 'trained before it is tested')):
        with pytest.raises(SystemExit) as stop:
            _run(monkeypatch, *args)
        assert stop.value.code == 2
        assert words in ' '.join(capsys.readouterr().err.split())


def test_a_checkpoint_of_something_else_is_refused(
        config, tmp_path, monkeypatch, capsys):
    weights = tmp_path / 'other.pth'
    torch.save({'encoder.weight': torch.zeros(1)}, weights)
    with pytest.raises(SystemExit) as stop:
        _run(monkeypatch, 'train', config, '--work-dir', tmp_path / 'run',
             '--load-from', weights)
    assert stop.value.code == 2
    assert "none of the model's tensors" in capsys.readouterr().err


@pytest.mark.parametrize(('option', 'words'), [
    ('train_dataloader.dataset.data_root=/nowhere', "'/nowhere/annotations"),
    ('train_dataloader.dataset.data_prefix.img=none', '/none/'),
    ('model.backbone.type=mmloc.Nothing', 'mmloc.Nothing is not in the'),
    ('train_dataloader.bach_size=2', "'bach_size'"),
    ('train_dataloader.batch_size=9 train_dataloader.drop_last=True',
     'has 8 images, not enough for one batch of 9'),
])
def test_mistakes_end_with_a_sentence(
        config, tmp_path, monkeypatch, capsys, option, words):
    with pytest.raises(SystemExit) as stop:
        _run(monkeypatch, 'train', config, '--work-dir', tmp_path / 'run',
             '--cfg-options', *option.split())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert 'Traceback' not in error
    assert words in error[error.index('error:'):]


def test_a_pretraining_config_cannot_be_tested(tmp_path):
    """As a program, from another folder."""
    config = tmp_path / 'pretraining.py'
    config.write_text("model = dict(type='X')\n")
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'test.py', config, 'none.pth'],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('error: config')
    assert 'has no test_dataloader' in done.stderr


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_a_wrong_version_is_a_sentence(tmp_path, tool):
    info = tmp_path / 'torch-1.13.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: torch\nVersion: 1.13.0\n')
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / f'{tool}.py', 'config', 'none.pth'],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{ROOT}'})
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith('error: mmloc needs torch>=2.6')
    assert 'found 1.13.0: run' in last
    assert 'Traceback' not in done.stderr
