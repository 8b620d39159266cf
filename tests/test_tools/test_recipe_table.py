# Copyright (c) mmloc contributors. All rights reserved.
import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(*args):
    return subprocess.run(
        [sys.executable, 'tools/analysis_tools/recipe_table.py', *args],
        cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_the_documented_table_is_that_of_the_configs(tmp_path):
    run = _run('--out', str(tmp_path / 'recipes.md'))
    assert run.returncode == 0, run.stderr
    assert (tmp_path / 'recipes.md').read_text() == (
        ROOT / 'docs/recipes.md').read_text(), (
            'run `python tools/analysis_tools/recipe_table.py --out '
            'docs/recipes.md --force`')


@pytest.mark.slow
def test_a_choice_as_csv_and_mistakes():
    run = _run('--protocols', 'mask-rcnn_r50_fpn_1x_coco', '--starts',
               'mocov2', 'soco_fpn', '--format', 'csv')
    rows = [*csv.DictReader(run.stdout.splitlines())]
    assert [(row['start'], row['weight decay']) for row in rows] == [
        ('mocov2', '0.0001'), ('soco_fpn', '2.5e-05')]
    run = _run('--starts', 'soco')
    assert run.returncode == 2
    assert 'did you mean' in run.stderr
    assert 'Traceback' not in run.stderr
