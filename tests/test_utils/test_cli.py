# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
from mmengine.registry import MODELS
from torch.utils.data import DataLoader

from mmloc.datasets import UnlabeledImageDataset
from mmloc.engine import launch
from mmloc.utils.cli import EXIT_CODE, building, user_errors


def _sentence(capsys, action):
    """What a mistake prints; fails if it does not end with the code."""
    with pytest.raises(SystemExit) as stop, user_errors():
        action()
    assert stop.value.code == EXIT_CODE
    out = capsys.readouterr()
    assert 'Traceback' not in out.err + out.out
    return out.err


def test_an_error_raised_on_purpose_is_one_sentence(capsys):
    text = _sentence(capsys, lambda: launch.load_config('nowhere.py'))
    assert text.startswith("error: config 'nowhere.py' is not a file; give")
    text = _sentence(capsys, lambda: UnlabeledImageDataset(
        data_prefix=dict(img_path='/nowhere')))
    assert '/nowhere' in text


def test_a_missing_file_is_one_sentence(capsys, tmp_path):
    text = _sentence(capsys, (tmp_path / 'none').read_text)
    assert "no such file or directory: '" in text
    assert 'check the path' in text


def test_an_error_in_a_worker_is_one_sentence(capsys):
    def action():
        raise FileNotFoundError(
            'Caught FileNotFoundError in DataLoader worker process 0.\n'
            'Original Traceback (most recent call last):\n  File "x"\n'
            "FileNotFoundError: [Errno 2] No such file: 'a.jpg'\n")

    text = _sentence(capsys, action)
    assert text.startswith("error: [Errno 2] No such file: 'a.jpg'")


def test_an_error_raised_on_purpose_in_a_worker_is_one_sentence(
        capsys, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'')
    dataset = UnlabeledImageDataset(
        data_root=str(tmp_path), pipeline=[dict(type='mmloc.LoadImage')])
    text = _sentence(
        capsys, lambda: next(iter(DataLoader(dataset, num_workers=1))))
    assert text.startswith('error: Cannot read the image')
    dataset.prepare_data = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError), user_errors():
        next(iter(DataLoader(dataset, num_workers=1)))


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(type='NoSuchModel'), 'NoSuchModel is not in the'),
    (dict(type='ConstantInitt'), 'not in the'),
    (dict(type='StochasticWeightAverage', nothing=1), "'nothing'"),
])
def test_wrong_settings_are_one_sentence(capsys, cfg, words):
    def action():
        with building('training'):
            MODELS.build(cfg)

    text = _sentence(capsys, action)
    assert 'cannot build for training' in text
    assert words in text


@pytest.mark.parametrize('action', [
    lambda: {}['key'],
    lambda: 1 / 0,
    lambda: np.zeros(2) + np.zeros(3),
    lambda: [].index(1),
])
def test_defects_keep_their_traceback(action):
    with pytest.raises((LookupError, ArithmeticError, ValueError)), \
            user_errors():
        action()


def test_the_traceback_can_be_asked_for(monkeypatch):
    with pytest.raises(FileNotFoundError), user_errors(True):
        launch.load_config('nowhere.py')
    monkeypatch.setenv('MMLOC_TRACEBACK', '1')
    with pytest.raises(FileNotFoundError), user_errors():
        launch.load_config('nowhere.py')


def test_the_rank_is_named(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '3')
    assert _sentence(capsys, lambda: launch.load_config('nowhere.py')
                     ).startswith('error (rank 3): config')


def test_ctrl_c_is_not_an_error():
    with pytest.raises(SystemExit) as stop, user_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130
