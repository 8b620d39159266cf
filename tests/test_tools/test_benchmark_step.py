# Copyright (c) mmloc contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def benchmark(*args):
    result = subprocess.run([
        sys.executable, ROOT / 'tools/analysis_tools/benchmark_step.py', *args,
        '--batch-size', '3', '--images', '2', '--steps', '1', '--turns', '1'
    ], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()
            if line.startswith('{')]


def check(report, dtype):
    assert report['config']['dtype'] == dtype
    assert report['ratio'] == pytest.approx(
        report['ours'] / report['baseline'], abs=2e-3)
    assert report['unit'] == 'images/s'
    assert report['gflops_per_image'] > 0
    assert 0 < report['baseline_step']['share_of_peak'] < 1
    assert 0.01 < report['step']['peak_memory_gb'] < 1
    # The same batch and weights: the losses differ by rounding.
    assert report['step']['first_loss'] == pytest.approx(
        report['baseline_step']['first_loss'],
        abs=1e-3 if dtype == 'float32' else 0.2)


@pytest.mark.slow
def test_times_steps_against_plain_ones():
    insloc, soco = (
        str(ROOT / f'configs/{name}/{name}_r18_fpn_toy.py')
        for name in ('insloc', 'soco'))
    *lines, last = benchmark(insloc, soco, '--dtype', 'float32', 'bfloat16')
    assert last['runs'] == lines
    order = [(insloc, 'float32'), (insloc, 'bfloat16'), (soco, 'float32'),
             (soco, 'bfloat16')]
    assert [(run['config']['config'], run['config']['dtype'])
            for run in lines] == order
    for run, (_, dtype) in zip(lines, order):
        check(run, dtype)
    assert last['ratio'] == min(run['ratio'] for run in lines)


@pytest.mark.slow
def test_one_run_prints_one_line_without_a_baseline():
    report, = benchmark(
        str(ROOT / 'configs/insloc/insloc_r18_fpn_toy.py'), '--baseline',
        'none')
    assert report['ratio'] is report['baseline'] is None
    assert report['ours'] > 0
