# Copyright (c) mmloc contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(
    __file__).parents[2] / 'tools/analysis_tools/benchmark_augmentation.py'


@pytest.mark.slow
def test_times_every_way(tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, '--side', '32', '--batch-size', '2',
         '--rounds', '1'],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    assert [row.split()[0] for row in table[1:]] == [
        'resize', 'brightness', 'contrast', 'saturation', 'hue', 'grey',
        'blur', 'solarize', 'chain'
    ]
    result = json.loads(last)
    assert result['ratio'] == pytest.approx(
        result['baseline'] / result['ours'])
    assert result['draws'] > 0
