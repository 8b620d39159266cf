# Copyright (c) mmloc contributors. All rights reserved.
import json

import numpy as np
import pytest

from mmloc.visualization import draw_curves, draw_loss_curve, read_scalars


def _log(path, entries):
    path.write_text(''.join(json.dumps(entry) + '\n' for entry in entries))
    return path


def test_read_scalars(tmp_path):
    log = _log(tmp_path / 'a.json', [
        dict(loss=3.0, step=10),
        dict(loss=2.0, step=20), {
            'coco/bbox_mAP': 0.5,
            'step': 1
        }
    ])
    steps, values = read_scalars(log, 'loss')
    assert steps.tolist() == [10, 20]
    assert values.tolist() == [3, 2]
    with pytest.raises(ValueError, match="no 'los', expected one of coco"):
        read_scalars(log, 'los')


@pytest.mark.parametrize('text', ['no json', '[1]', '3', '{"loss": 1}'])
def test_not_a_log(tmp_path, text):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match='expected'):
        read_scalars(tmp_path / 'a.json', 'loss')


def test_latest_run_of_a_work_dir(tmp_path):
    with pytest.raises(FileNotFoundError, match='work dir of a run'):
        read_scalars(tmp_path, 'loss')
    for stamp, loss in (('20260102_030405', 2), ('20251231_235959', 1)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        _log(folder / 'scalars.json', [dict(loss=loss, step=1)])
    assert read_scalars(tmp_path, 'loss')[1].tolist() == [2]


def test_loss_curve(tmp_path):
    entries = [dict(loss=1 / (i + 1), step=i) for i in range(60)]
    plain = draw_loss_curve(_log(tmp_path / 'a.json', entries))
    assert plain.dtype == np.uint8
    assert 1 < len(np.unique(plain))
    both = draw_loss_curve(
        _log(tmp_path / 'b.json', [dict(e, acc_P2=50.0) for e in entries]))
    # The accuracies get a panel of their own.
    assert both.shape[1] == 2 * plain.shape[1]


def test_terms_take_the_place_of_missing_accuracies(tmp_path):
    entries = [dict(loss=i, loss_a=i, step=i) for i in range(5)]
    one = draw_loss_curve(_log(tmp_path / 'a.json', entries))
    two = [dict(entry, loss_b_to_a=3) for entry in entries]
    both = draw_loss_curve(_log(tmp_path / 'b.json', two))
    assert both.shape[1] == 2 * one.shape[1]
    # The second term is a line of its own, in vermilion.
    assert (both == (0, 94, 213)).all(-1).any()
    # Accuracies go first.
    accurate = [dict(entry, acc_P2=i) for i, entry in enumerate(two)]
    other = draw_loss_curve(_log(tmp_path / 'c.json', accurate))
    assert other.shape == both.shape
    assert not (other == (0, 94, 213)).all(-1).any()


def test_curves_of_several_runs(tmp_path):
    first, second = (
        _log(tmp_path / f'{k}.json', [
            dict(loss=k * i, step=i) for i in range(5)
        ]) for k in (1, 2))
    one = draw_curves(dict(a=first), 'loss', 'the loss')
    two = draw_curves(dict(a=first, b=second), 'loss', 'the loss')
    assert one.shape == two.shape
    # The second run is drawn in vermilion, which is absent without it.
    vermilion = [(image == (0, 94, 213)).all(-1).any() for image in (one, two)]
    assert vermilion == [False, True]
