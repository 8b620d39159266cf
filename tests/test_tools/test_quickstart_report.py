# Copyright (c) mmloc contributors. All rights reserved.
import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location(
        'quickstart_report',
        ROOT / 'tools' / 'analysis_tools' / 'quickstart_report.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, tmp_path):
    """A run as the trainings leave it, without pictures."""
    notes = dict(seed=1, stages=[
        dict(name=name, title=name, command=f'run {name}', seconds=seconds)
        for name, seconds in (('pretrain', 61.), ('from_insloc', 30.),
                              ('from_scratch', 29.))])
    (tmp_path / 'quickstart.json').write_text(json.dumps(notes))
    for stage, metrics in (
            ('from_insloc', {'coco/bbox_mAP': 0.123, 'coco/bbox_mAP_50': .4}),
            ('from_scratch', {})):
        log = tmp_path / stage / '20260101_000000' / 'vis_data'
        log.mkdir(parents=True)
        lines = [dict(loss=1., step=1), dict(metrics, step=1)]
        (log / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
        found = [dict(image_id=0)] if metrics else []
        (tmp_path / stage / 'val.bbox.json').write_text(json.dumps(found))
    return tool.Run(tmp_path)


def test_results(run):
    """A detector that finds nothing has no metrics in its log."""
    assert run.results() == [('InsLoc', '12.3', '40.0', '1:01 + 0:30'),
                             ('new weights', '0.0', '0.0', '0:29')]


def test_what_the_logs_say(run, tmp_path):
    table = '+---+\n| backbone |\n+---+'
    (tmp_path / 'from_insloc.log').write_text(
        f'hook (TransferReportHook)\n11/21 - INFO - Transfer from a.pth:\n'
        f'{table}\n11/21 - INFO - other\n')
    assert run.transfer('from_insloc') == f'Transfer from a.pth:\n{table}'
    line = 'WARNING - Image skipped ({} so far): Cannot read {!r}: damaged'
    lines = [line.format(1, 'a.jpg'), line.format(1, 'a.jpg'),
             line.format(2, "b's.jpg")]
    (tmp_path / 'pretrain.log').write_text('\n'.join(lines))
    assert run.skipped() == 2


@pytest.mark.parametrize(('config', 'first'), [
    ('insloc_r18_fpn_toy.py', 'faster-rcnn_r18-insloc-pre_fpn_toy.py'),
    ('insloc_r50_fpn_1xb32-coslr-200e_folder.py',
     'faster-rcnn_r50-insloc-pre_fpn_1x_coco.py'),
])
def test_fitting_detectors(tool, config, first):
    cfg = Config.fromfile(ROOT / 'configs' / 'insloc' / config)
    found = tool.fitting_detectors(cfg)
    assert found[0] == f'configs/insloc/downstream/{first}'
    depth = first.split('-')[1][4:]
    assert {Path(file).name.split('-')[1][4:] for file in found} == {depth}
    cfg.model.backbone.depth = 101
    assert tool.fitting_detectors(cfg) == []


def test_composites_are_the_same_each_time(tool, tmp_path):
    for i in range(5):
        image = np.random.randint(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), image)
    cfg = Config.fromfile(ROOT / 'configs/insloc/insloc_r18_fpn_toy.py')
    cfg.train_dataloader.dataset.dataset.update(
        data_root=str(tmp_path), data_prefix=dict(img=''))
    first, second = tool.composites(cfg, 3), tool.composites(cfg, 3)
    assert np.array_equal(first, second)
    assert first.std() > 10


def test_no_run(tool, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'quickstart\.json'):
        tool.Run(tmp_path)
