# Copyright (c) mmloc contributors. All rights reserved.
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmloc.proposals import write_proposals

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/analysis_tools/benchmark_loader.py'


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.isdir('/proc/self/fd'), reason='takes times from /proc')
def test_one_file_for_a_batch(tiny_coco, tmp_path):
    proposals = tmp_path / 'p.mmprop'
    write_proposals(
        str(proposals),
        [(f'{i}.jpg', 64, 64, np.float32([[4, 4, 40, 50], [10, 0, 60, 64]]))
         for i in range(8)], {})
    done = subprocess.run(
        [sys.executable, TOOL, ROOT / 'configs/soco/soco_r18_fpn_toy.py',
         '--images', tiny_coco / 'images', '--proposals', proposals,
         '--workers', '1', '--batch-size', '6', '--batches', '3', '--rounds',
         '1'],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    flat, plain = result['ms']['flat'], result['ms']['plain']
    # Three batches at most are under way, and each has many tensors.
    assert flat['files'] < 10 < 40 < plain['files']
    assert flat['main'] > 0
    assert result['ours'] == pytest.approx(6e3 / flat['main'], rel=0.1)
    for times in (flat, plain):
        assert times['main'] == pytest.approx(
            times['receive'] + times['to_device'], abs=0.2)
