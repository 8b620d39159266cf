# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.evaluation import PatchLocalizationMetric


def _sample(box, given, free, img_shape=(100, 200)):
    return dict(
        img_shape=img_shape,
        gt_instances=dict(bboxes=torch.tensor([box])),
        matches=dict(pasted_c4=torch.tensor([given, free])))


SAMPLES = [
    # Found, and too large a box around it.
    _sample([10., 10., 30., 30.], [10., 10., 30., 30.], [0., 0., 40., 40.]),
    # IoU 0.6 after a shift of 3 and 4 pixels, and found.
    _sample([60., 20., 90., 60.], [63., 24., 93., 64.], [60., 20., 90., 60.]),
    # In the middle of the image, and found nowhere near.
    _sample([90., 40., 110., 60.], [0., 0., 20., 20.], [0., 0., 10., 10.]),
]


def _evaluate(**cfg):
    metric = PatchLocalizationMetric(**cfg)
    metric.process({}, SAMPLES)
    return metric.evaluate(size=len(SAMPLES))


def test_hits_and_distances():
    found = _evaluate()
    assert found['patch/pasted_c4_hit'] == pytest.approx(200 / 3)
    assert found['patch/pasted_c4_center'] == pytest.approx(5)
    assert found['patch/pasted_c4_hit_any_size'] == pytest.approx(100 / 3)
    assert found['patch/middle_hit'] == pytest.approx(100 / 3)
    # Of (80, 30), (25, 10) and 0 pixels.
    assert found['patch/middle_center'] == pytest.approx(
        (25**2 + 10**2)**0.5)
    assert set(found) == {
        f'patch/{name}' for name in (
            'chance_hit', 'chance_center', 'middle_hit', 'middle_center',
            'pasted_c4_hit', 'pasted_c4_center', 'pasted_c4_hit_any_size')
    }


def test_a_stricter_threshold():
    assert _evaluate(iou_thr=0.7)['patch/pasted_c4_hit'] == pytest.approx(
        100 / 3)


def test_chance_is_drawn_by_the_seed_inside_the_image():
    assert _evaluate(seed=1) == _evaluate(seed=1)
    assert _evaluate(seed=1) != _evaluate(seed=2)
    # A patch as large as the image has one place.
    metric = PatchLocalizationMetric()
    whole = [0., 0., 200., 100.]
    metric.process({}, [_sample(whole, whole, whole)])
    assert metric.evaluate(size=1)['patch/chance_hit'] == 100


def test_threshold_is_an_iou():
    with pytest.raises(ValueError, match='iou_thr is 0'):
        PatchLocalizationMetric(iou_thr=0)
