# Copyright (c) mmloc contributors. All rights reserved.
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch):
    """Runs the tool in this process."""
    spec = importlib.util.spec_from_file_location(
        'browse_views', ROOT / 'tools' / 'analysis_tools' / 'browse_views.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(config, *args):
        path = str(ROOT / 'configs' / config)
        monkeypatch.setattr(sys, 'argv', ['browse_views.py', path, *args])
        module.main()

    return run


def test_own_images_without_a_file_of_proposals(run, tmp_path, capsys):
    image = np.full((96, 128, 3), 90, np.uint8)
    image[20:70, 30:90] = 0, 0, 200
    cv2.imwrite(str(tmp_path / 'a.jpg'), image)
    out = tmp_path / 'new' / 'views.png'
    run('soco/soco_r50_fpn_1xb64-coslr-100e_folder.py', str(out),
        '--num', '2', '--cfg-options',
        f'train_dataloader.dataset.data_root={tmp_path}',
        'train_dataloader.dataset.pipeline.1.cache_dir=None')
    assert capsys.readouterr().out == f'Drew {out}\n'
    # One image, two pairs, and the legend.
    assert cv2.imread(str(out)).shape == (32 + 224 + 14 + 26, 1010, 3)


def test_mistakes(run, tmp_path, capsys):
    config = 'soco/soco_r50_fpn_1xb64-coslr-100e_folder.py'
    root = f'train_dataloader.dataset.data_root={tmp_path}'
    for option, words in ((root, 'Found 0 images'),
                          ('modle=1', "did you mean 'model'")):
        with pytest.raises(SystemExit):
            run(config, 'views.png', '--cfg-options', option)
        error = capsys.readouterr().err
        assert error.startswith('error: ')
        assert words in error
