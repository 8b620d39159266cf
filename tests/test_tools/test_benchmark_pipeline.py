# Copyright (c) mmloc contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmloc.proposals import write_proposals

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/analysis_tools/benchmark_pipeline.py'


def run(tiny_coco, tmp_path, config, *options):
    """Measure a config on the tiny set and return the last line."""
    proposals = tmp_path / 'p.mmprop'
    write_proposals(
        str(proposals),
        [(f'{i}.jpg', 64, 64, np.float32([[4, 4, 40, 50], [10, 0, 60, 64]]))
         for i in range(8)], {})
    done = subprocess.run(
        [sys.executable, TOOL, ROOT / 'configs' / config, '--baseline',
         '--images', tiny_coco / 'images', '--proposals', proposals,
         '--rounds', '1', '--samples', '8', '--batch-size', '4', *options],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    'config', ['soco/soco_r18_fpn_toy.py', 'insloc/insloc_r18_fpn_toy.py'])
def test_rates_and_stages(tiny_coco, tmp_path, config):
    result = run(tiny_coco, tmp_path, config, '--preprocess')
    assert result['ratio'] == pytest.approx(
        result['ours'] / result['baseline'], rel=1e-2)
    stages = result['stages_ms']
    assert set(stages) == {
        'decode', 'geometry', 'matching', 'photometric', 'packing', 'collate',
        'preprocess', 'other'
    }
    assert min(stages.values()) > 0


@pytest.mark.slow
def test_share_of_waiting_in_a_run(tiny_coco, tmp_path):
    run_ = run(tiny_coco, tmp_path, 'insloc/insloc_r18_fpn_toy.py', '--run',
               '3', '--cfg-options', 'train_dataloader.num_workers=0',
               'train_dataloader.persistent_workers=False')['run']
    assert run_['iterations'] == 2
    assert 0 < run_['data_share'] < 1
    assert 0 < run_['preprocess_share'] < 1
    assert run_['rate'] == pytest.approx(4 / run_['iteration_s'], rel=1e-2)
    assert run_['data_share'] == pytest.approx(
        run_['data_time_s'] / run_['iteration_s'], abs=1e-2)
