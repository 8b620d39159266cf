# Copyright (c) mmloc contributors. All rights reserved.
"""From a folder of images and a set with boxes to a tested detector."""
import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmloc.engine.launch import load_config

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'dataset_tools' / 'prepare_own_data.py'
# The networks of the toy configs, for CPUs.
NARROW = dict(depth=18, base_channels=16, stem_channels=16)
CHANNELS = dict(in_channels=[16, 32, 64, 128], out_channels=32)
BOX_HEAD = dict(in_channels=32, conv_out_channels=32, fc_out_channels=128)


def _image(rng, boxes):
    image = cv2.GaussianBlur(
        rng.integers(0, 256, (150, 200, 3), np.uint8), (0, 0), 3)
    for x, y, w, h in boxes:
        image[y:y + h, x:x + w] = (0, 0, 255)
    return image


@pytest.fixture
def own(monkeypatch, tmp_path):
    """16 images without labels, 12 with a box each, one of them damaged."""
    rng = np.random.default_rng(0)
    for folder in ('photos', 'set/images', 'set/annots'):
        (tmp_path / folder).mkdir(parents=True)
    for i in range(16):
        cv2.imwrite(str(tmp_path / f'photos/{i}.png'), _image(rng, []))
    for i in range(12):
        x, y = (int(v) for v in rng.integers(0, 60, 2))
        image = _image(rng, [(x, y, 90, 60)])
        cv2.imwrite(str(tmp_path / f'set/images/p{i}.jpg'), image)
        if i in (3, 4):  # of these, there is a copy among the photos
            cv2.imwrite(str(tmp_path / f'photos/copy_{i}.jpg'), image[5:])
        corners = zip(('xmin', 'ymin', 'xmax', 'ymax'),
                      (x + 1, y + 1, x + 90, y + 60))
        (tmp_path / f'set/annots/p{i}.xml').write_text(
            '<annotation><size><width>200</width><height>150</height></size>'
            '<object><name>red thing</name><bndbox>' +
            ''.join(f'<{key}>{value}</{key}>' for key, value in corners) +
            '</bndbox></object></annotation>')
    damaged = tmp_path / 'set/images/p0.jpg'
    damaged.write_bytes(damaged.read_bytes()[:2000])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def prepare(monkeypatch, own):

    def run(*args):
        monkeypatch.setattr(
            sys, 'argv', [str(TOOL), 'photos', 'set', '--out', 'out',
                          '--workers', '1', *args])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code

    return run


@pytest.mark.slow
def test_stops_and_says_why(prepare, own, capsys):
    before = sorted(own.rglob('*'))
    assert prepare() == 1
    said = capsys.readouterr().out
    assert said.index('wrong') < said.index('broken') < said.index('warning')
    assert 'there is no set for evaluation' in said
    assert 'p0.jpg (is damaged' in said
    assert prepare('--val-share', '0.3') == 1
    assert 'repair what is broken, or' in capsys.readouterr().out
    # Nothing but the report was written, and only where it was asked for.
    report = own / 'out' / 'own_data_report.txt'
    assert sorted(own.rglob('*')) == sorted([*before, own / 'out', report])
    assert 'images that cannot be read' in report.read_text()


@pytest.mark.parametrize(('args', 'message'), [
    (['--val-share', '2'], "'2' is not a number between 0 and 1"),
    (['--val', 'nowhere.json'], "data set 'nowhere.json' does not exist"),
    (['--rename', 'red thing'], "'red thing' is not OLD=NEW"),
    (['--overwrite', '--images', 'nowhere'], 'nowhere'),
])
def test_mistakes(prepare, capsys, args, message):
    assert prepare(*args) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_files(prepare, own, capsys):
    assert prepare('--yes', '--method', 'soco', '--rename',
                   'red thing=red') == 0
    assert 'generate_proposals.py out/unlabeled.txt' in capsys.readouterr().out
    train, val = (json.loads((own / 'out' / f'{name}.json').read_text())
                  for name in ('train', 'val'))
    names = [i['file_name'] for part in (train, val) for i in part['images']]
    assert sorted(names) == sorted(f'p{i}.jpg' for i in range(1, 12))
    assert train['categories'] == [dict(id=1, name='red')]
    assert all(a['bbox'][2:] == [90, 60] and a['area'] == 5400
               for a in train['annotations'])
    # The copy of an image of the evaluation is not pretrained on.
    held_out = {i['file_name'] for i in val['images']}
    listed = set((own / 'out' / 'unlabeled.txt').read_text().split())
    assert held_out & {'p3.jpg', 'p4.jpg'} == {'p3.jpg'}
    assert listed == {*(f'{i}.png' for i in range(16)), 'copy_4.jpg'}
    assert cv2.imread(str(own / 'out' / 'labels.png')) is not None
    other = load_config('out/detector.py', start='scratch')
    assert other.load_from is None
    assert other.model.roi_head.bbox_head.num_classes == 1
    assert prepare('--yes') == 2
    assert 'is there already' in capsys.readouterr().err


def _train(monkeypatch, name, options):
    config = f'out/{name}.py'
    cfg = load_config(config)
    cfg.merge_from_dict(options)
    for hook in cfg.custom_hooks:
        if hook.type == 'mmloc.PreciseBNHook':
            hook.num_iters = 2
    cfg.dump(f'out/small_{name}.py')
    monkeypatch.setattr(sys, 'argv', [
        'train.py', f'out/small_{name}.py', '--work-dir', f'out/{name}'])
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')


@pytest.mark.slow
@pytest.mark.parametrize('method', ['insloc', 'soco'])
def test_train_both(prepare, own, monkeypatch, method):
    """What the configs say, with narrower networks and few iterations."""
    assert prepare('--yes', '--method', method) == 0
    if method == 'soco':
        monkeypatch.setattr(sys, 'argv', [
            'generate_proposals.py', 'out/unlabeled.txt',
            'out/unlabeled.mmprop', '--root', 'photos', '--workers', '1'])
        runpy.run_path(str(TOOL.parent / 'generate_proposals.py'),
                       run_name='__main__')
    loader = dict(batch_size=8, num_workers=0, persistent_workers=False)
    model = dict(backbone=NARROW, neck=CHANNELS, roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32), bbox_head=BOX_HEAD))
    embed = (dict(projector=dict(in_features=128)) if method == 'insloc' else
             dict(projector=dict(in_channels=128, hid_channels=64),
                  predictor=dict(hid_channels=64)))
    _train(monkeypatch, 'pretrain', dict(
        model=dict(model, **embed), train_dataloader=loader,
        train_cfg=dict(max_epochs=1),
        optim_wrapper=dict(type='OptimWrapper')))
    checkpoint = own / 'out' / 'pretrain' / 'epoch_1.pth'
    assert checkpoint.is_file()
    model['roi_head']['bbox_head'] = dict(BOX_HEAD, num_classes=1)
    loader['batch_size'] = 2
    test = dict(loader, batch_size=1)
    _train(monkeypatch, 'detector', dict(
        model=dict(model, rpn_head=dict(in_channels=32, feat_channels=32)),
        train_dataloader=loader, val_dataloader=test, test_dataloader=test,
        train_cfg=dict(max_iters=2, val_interval=2),
        load_from=str(checkpoint)))
    log = next((own / 'out' / 'detector').rglob('*.log')).read_text()
    assert '| backbone           | 120 of 120 ' in log
    assert 'coco/bbox_mAP:' in log
