# Copyright (c) mmloc contributors. All rights reserved.
import importlib.util
import json
import re
from pathlib import Path

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
    seconds = dict(pretrain_insloc=61., from_insloc=30., proposals_soco=7.,
                   pretrain_soco=50., from_soco=31., from_scratch=29.)
    notes = dict(seed=1, methods=dict(insloc='InsLoc', soco='SoCo'), stages=[
        dict(name=name, title=name, command=f'run {name}', seconds=time)
        for name, time in seconds.items()])
    (tmp_path / 'quickstart.json').write_text(json.dumps(notes))
    for stage, metrics in (
            ('from_insloc', {'coco/bbox_mAP': 0.123, 'coco/bbox_mAP_50': .4}),
            ('from_soco', {'coco/bbox_mAP': 0.2, 'coco/bbox_mAP_50': .3}),
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
                             ('SoCo', '20.0', '30.0', '0:07 + 0:50 + 0:31'),
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
    (tmp_path / 'pretrain_soco.log').write_text('\n'.join(lines))
    (tmp_path / 'pretrain_insloc.log').write_text('none')
    assert run.skipped('soco').startswith('2 of the images')
    assert run.skipped('insloc') == ''


def test_how_often_samples_were_redrawn(run, tmp_path):
    for method, values in (('soco', [0.5, 0.25]), ('insloc', [None])):
        log = tmp_path / f'pretrain_{method}' / '20260101_000000' / 'vis_data'
        log.mkdir(parents=True)
        lines = [dict(step=1, redrawn=value) if value else dict(step=1)
                 for value in values]
        (log / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert 'In the mean 0.375 samples' in run.redrawn('soco')
    assert run.redrawn('insloc') == ''


@pytest.mark.parametrize(('config', 'first'), [
    ('insloc/insloc_r18_fpn_toy.py', 'faster-rcnn_r18-insloc-pre_fpn_toy.py'),
    ('soco/soco_r50_fpn_1xb64-coslr-100e_folder.py',
     'mask-rcnn_r50-soco-pre_fpn_1x_coco.py'),
    ('soco/soco_r50_c4_16xb128-coslr-100e_in1k.py',
     'mask-rcnn_r50-soco-pre_c4_1x_coco.py'),
])
def test_fitting_detectors(tool, config, first):
    cfg = Config.fromfile(ROOT / 'configs' / config)
    found = tool.fitting_detectors(cfg)
    method = config.split('/')[0]
    assert found[0] == f'configs/{method}/downstream/{first}'
    kinds = {re.search(r'_(r\d+)-.*-pre_([a-z0-9]+)', file).groups()
             for file in found}
    assert kinds == {re.search(r'_(r\d+)-.*-pre_([a-z0-9]+)', first).groups()}


def test_no_fitting_detector(tool):
    cfg = Config.fromfile(ROOT / 'configs/soco/soco_r18_fpn_toy.py')
    cfg.model.backbone.depth = 101
    assert tool.fitting_detectors(cfg) == []
    cfg.model.type = 'mmloc.Unknown'
    assert tool.fitting_detectors(cfg) == []


def test_no_run(tool, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'quickstart\.json'):
        tool.Run(tmp_path)
