# Copyright (c) mmloc contributors. All rights reserved.
import pytest

from mmloc.engine import launch
from mmloc.engine.seen_images import compare_images, seen_images

PROTOCOL = 'configs/transfer/{}.py'
FPN = PROTOCOL.format('faster-rcnn_r50_fpn_1x_coco')
PROBE = PROTOCOL.format('linear-probe_r50_8xb32-coslr-100e_in1k')


@pytest.mark.parametrize('path', [
    FPN, pytest.param(PROBE, marks=pytest.mark.slow)])
def test_a_detector_is_tested_with_its_start(path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    trained = launch.load_config(path, start='supervised_msra')
    checkpoint = dict(meta=dict(cfg=trained.pretty_text))
    assert compare_images(checkpoint, trained) is None
    difference = compare_images(checkpoint, launch.load_config(path))
    assert difference.startswith('colours BGR, here RGB; mean [103.53, ')
    assert difference.endswith('; stride in 1x1, here 3x3')


def test_pretraining_and_classification_agree(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    pretraining = launch.load_config('configs/soco/soco_r18_fpn_toy.py')
    detector = launch.load_config(FPN)
    assert seen_images(pretraining) == seen_images(detector)
    assert seen_images(detector) == seen_images(launch.load_config(PROBE))


@pytest.mark.parametrize('meta', [
    None, {}, dict(cfg=3), dict(cfg='model = ('), dict(cfg='a = f(1)'),
    dict(cfg='model = dict(type="X", data_preprocessor=None)')])
def test_checkpoints_that_do_not_tell(meta):
    cfg = dict(model=dict(data_preprocessor=dict(mean=[1], std=[2])))
    assert compare_images(dict(meta=meta), cfg) is None
