# Copyright (c) mmloc contributors. All rights reserved.
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOL = (Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
        / 'benchmark_proposals.py')


@pytest.fixture
def benchmark(monkeypatch, capsys):
    def run(*args):
        monkeypatch.setattr('sys.argv', [str(TOOL), *map(str, args)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return json.loads(capsys.readouterr().out.splitlines()[-1])
    return run


def test_figures(benchmark, tmp_path):
    pytest.importorskip('selectivesearch')
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(tmp_path / 'a.png')
    (tmp_path / 'selective_search.json').write_text(json.dumps(
        dict(images=[dict(file='a.png', cpu_seconds=10.)])))
    figures = benchmark('--images', tmp_path, '--repeats', 1, '--reference',
                        tmp_path, '--workers', 2)
    assert figures['unit'] == 'images/s per core'
    assert figures['ratio'] == pytest.approx(
        figures['ours'] / figures['baseline'])
    assert figures['reference']['baseline'] == 0.1
    assert figures['images_per_second_by_workers']['2'] > 0
    assert figures['config']['num'] == 1


def test_folder_without_images(benchmark, tmp_path, capsys):
    pytest.importorskip('selectivesearch')
    with pytest.raises(SystemExit, match='2'):
        benchmark('--images', tmp_path)
    assert 'holds no JPEG or PNG file' in capsys.readouterr().err
