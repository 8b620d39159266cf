# Copyright (c) mmloc contributors. All rights reserved.
"""tools/analysis_tools/low_label_study.py, with real trainings."""
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmloc.datasets.toy import ToyParams, make_toy_dataset
from mmloc.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'analysis_tools' / 'low_label_study.py'
PROTOCOL = (ROOT / 'configs' / 'insloc' / 'downstream'
            / 'faster-rcnn_r18-scratch_fpn_toy.py')
TINY = ('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False', 'train_cfg.max_epochs=3',
        'default_hooks.logger.interval=1',
        # Scores differ even if next to nothing is learnt.
        'model.test_cfg.rcnn.score_thr=-1')

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the tool is called: with a toy set, and weights to start from."""
    monkeypatch.chdir(tmp_path)
    make_toy_dataset('data/toy', ToyParams(128, 0, 8, 2, 0), 1)
    init_default_scope('mmdet')
    model = MODELS.build(Config.fromfile(PROTOCOL).model)
    torch.save(dict(state_dict=model.state_dict()), 'mine.pth')
    return tmp_path


def start_study(*args):
    command = [sys.executable, TOOL, PROTOCOL, '--out', 'study', '--starts',
               'scratch', 'mine=mine.pth', *args, '--cfg-options', *TINY]
    return subprocess.Popen(
        [str(x) for x in command], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'))


def run_study(*args):
    study = start_study(*args)
    out, err = study.communicate()
    return study.returncode, out, err


def wait_for(found, study):
    for _ in range(6000):
        if found():
            return
        assert study.poll() is None, study.communicate()
        time.sleep(0.1)
    pytest.fail('it takes too long')


def test_a_killed_study_goes_on(folder):
    args = ('--fractions', '0.5', '--seeds', '0', '--min-iters', '0')
    cells = folder / 'study' / 'cells'
    first = cells / 'scratch' / '4_images' / 'seed_0' / 'result.json'
    second = cells / 'mine' / '4_images' / 'seed_0'
    study = start_study(*args)
    wait_for(lambda: (second / 'run').exists(), study)
    training, = (
        int(path.parent.name) for path in Path('/proc').glob('*/cmdline')
        if str(second.relative_to(folder)) in _read(path)
        and 'train.py' in _read(path))
    study.kill()
    study.communicate()
    # No training outlives it, which would meet the next one in its folder.
    for _ in range(300):
        if 'train.py' not in _read(Path(f'/proc/{training}/cmdline')):
            break
        time.sleep(0.1)
    else:
        os.kill(training, signal.SIGKILL)
        pytest.fail('the training goes on')
    done = first.stat().st_mtime_ns
    code, out, err = run_study(*args)
    assert code == 0, err
    assert first.stat().st_mtime_ns == done  # not trained again
    result = json.loads(out.splitlines()[-1])
    assert result['cells'] == 2
    with open('study/cells.csv') as file:
        rows = list(csv.DictReader(file))
    assert [(row['start'], row['images'], row['iterations'])
            for row in rows] == [('scratch', '4', '6'), ('mine', '4', '6')]
    for row in rows:
        assert result['scores'][row['start']]['4']['0'] == pytest.approx(
            100 * float(row['coco/bbox_mAP']))
    assert '| mine - scratch |' in Path('study/table.md').read_text()
    assert Path('study/study.png').stat().st_size > 5000
    assert not list(cells.rglob('*.pth'))

    # More seeds extend it, other settings do not mix with it.
    code, out, _ = run_study(*args[:-4], '--seeds', '0', '1', '--min-iters',
                             '0', '--dry-run')
    assert (code, '4 cells (2 starts, 1 numbers of images, 2 seeds), 2 done; '
            '12 iterations, about' in out) == (0, True)
    code, _, err = run_study(*args[:-1], '12')
    assert code == 2
    assert 'begun with other settings: iters was 6 and is 12' in err


def test_cells_side_by_side_get_the_same_images(folder):
    code, _, err = run_study('--fractions', '0.25', '0.5', '--seeds', '3',
                             '--min-iters', '0', '--workers', '2')
    assert code == 0, err
    logs = {path.parents[2].name + path.parents[1].name: path.read_text()
            for path in Path('study/cells').rglob('train.log')}
    assert len(logs) == 4
    lines = {name: next(line.split('LabelSubset: ')[1]
                        for line in log.splitlines() if 'LabelSubset:' in line)
             for name, log in logs.items()}
    assert lines['scratch4_images'] == lines['mine4_images']
    assert lines['scratch2_images'] == lines['mine2_images']
    assert '4 images' in lines['mine4_images']


def _read(path):
    try:
        return path.read_text().replace('\0', ' ')
    except OSError:
        return ''
