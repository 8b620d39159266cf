# Copyright (c) mmloc contributors. All rights reserved.
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/benchmark_shuffle.py'


@pytest.mark.slow
def test_counts_what_a_rank_receives(tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, '--ranks', '2', '--batch-size', '3',
         '--image-size', '8', '--levels', '1', '--channels', '2'],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    image, box, key, order = 3 * 8 * 8 * 4, 4 * 4, 2 * 4, 6 * 8
    # All three samples of the other rank; the order reaches one of the two.
    assert result['baseline'] == 3 * (image + box + key) + order / 2
    assert image < result['ours'] < result['baseline']
    assert result['ratio'] == pytest.approx(
        result['baseline'] / result['ours'], rel=1e-2)
