# Copyright (c) mmloc contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(('config', 'dtype'), [
    ('insloc/insloc_r18_fpn_toy.py', 'float32'),
    ('soco/soco_r18_fpn_toy.py', 'bfloat16')
])
def test_times_a_step_against_a_plain_one(config, dtype):
    result = subprocess.run([
        sys.executable, ROOT / 'tools/analysis_tools/benchmark_step.py',
        ROOT / 'configs' / config, '--batch-size', '3', '--images', '2',
        '--steps', '1', '--turns', '1', '--dtype', dtype
    ], capture_output=True, text=True, check=True)
    report = json.loads(result.stdout.splitlines()[-1])
    assert report['ratio'] == pytest.approx(
        report['ours'] / report['baseline'], abs=2e-3)
    assert report['unit'] == 'images/s'
    assert report['gflops_per_image'] > 0
    assert 0 < report['baseline_step']['share_of_peak'] < 1
    # The same batch and weights: the losses differ by rounding.
    assert report['step']['first_loss'] == pytest.approx(
        report['baseline_step']['first_loss'],
        abs=1e-3 if dtype == 'float32' else 0.2)
