# Copyright (c) mmloc contributors. All rights reserved.
import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO

import mmloc.datasets.toy as toy_module
from mmloc.datasets import UnlabeledImageDataset
from mmloc.datasets.toy import ToyParams, make_toy_dataset
from mmloc.datasets.toy_scene import TOY_CLASSES, draw_scene

SMALL = ToyParams(size=64, unlabeled=3, train=12, val=4, seed=3)
TOOL = 'tools/dataset_tools/make_toy_dataset.py'


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    out = tmp_path_factory.mktemp('toy') / 'set'
    assert make_toy_dataset(out, SMALL, workers=1)
    return out


def _contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob('*') if path.is_file()
    }


def test_files_do_not_depend_on_workers(toy, tmp_path):
    make_toy_dataset(tmp_path / 'set', SMALL, workers=3)
    assert _contents(tmp_path / 'set') == _contents(toy)
    # A smaller set is the beginning of a larger one, another seed is not.
    params = ToyParams(size=64, unlabeled=1, train=0, val=0, seed=4)
    make_toy_dataset(tmp_path / 'other', params)
    name = 'unlabeled/000000.jpg'
    assert (tmp_path / 'other' / name).read_bytes() != (toy /
                                                        name).read_bytes()


def test_splits_differ(toy):
    images = [(toy / split / '000000.jpg').read_bytes()
              for split in toy_module.SPLITS]
    assert len(set(images)) == 3


def test_loads_as_coco(toy):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)
    ]
    dataset = CocoDataset(
        ann_file='annotations/train.json',
        data_root=str(toy),
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=tuple(TOY_CLASSES)),
        pipeline=pipeline)
    assert len(dataset) == 12
    for i in range(12):
        results = dataset[i]
        num = len(results['gt_bboxes'])
        assert results['img'].shape == (64, 64, 3)
        assert 1 <= num <= 5
        # mmdet's boxes and the extent of its masks are the same.
        extent = results['gt_masks'].get_bboxes('hbox')
        assert (extent.tensor == results['gt_bboxes'].tensor).all()


def test_masks_boxes_and_areas_agree(toy):
    coco = COCO(str(toy / 'annotations' / 'train.json'))
    seen = np.zeros((13, 64, 64), int)
    for ann in coco.anns.values():
        mask = coco.annToMask(ann)
        y, x = np.nonzero(mask)
        extent = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert ann['bbox'] == extent
        assert ann['area'] == mask.sum() >= 6
        assert ann['iscrowd'] == 0
        assert ann['category_id'] in coco.cats
        seen[ann['image_id']] += mask
    # Masks are of what is visible: no pixel belongs to two objects.
    assert seen.max() == 1
    assert [c['name'] for c in coco.cats.values()] == list(TOY_CLASSES)


def test_unlabeled_split_has_images_only(toy):
    data = json.loads((toy / 'annotations' / 'unlabeled.json').read_text())
    assert data['annotations'] == []
    assert len(data['images']) == 3
    for ann_file in ('', 'annotations/unlabeled.json'):
        dataset = UnlabeledImageDataset(
            ann_file=ann_file,
            data_root=str(toy),
            data_prefix=dict(img='unlabeled'))
        assert len(dataset) == 3


def test_statistics():
    scenes = [draw_scene(np.random.default_rng([0, i]), 96) for i in range(80)]
    counts = [len(scene.labels) for scene in scenes]
    assert min(counts) == 1
    assert max(counts) == 5
    assert {label for s in scenes for label in s.labels} == set(range(8))
    sides = [
        max(cv2.boundingRect(mask.astype(np.uint8))[2:]) / 96
        for scene in scenes for mask in scene.masks
    ]
    assert min(sides) < 0.15
    assert 0.6 < max(sides) <= 1


def test_classes_cannot_be_told_by_mean_colour():
    """The mean colours of classes differ no more than by chance."""
    colors = {label: [] for label in range(8)}
    for i in range(150):
        scene = draw_scene(np.random.default_rng([1, i]), 64)
        for label, mask in zip(scene.labels, scene.masks):
            colors[label].append(scene.image[mask].mean(0))
    means = np.array([np.mean(c, 0) for c in colors.values()])
    within = np.mean([np.std(c, 0) for c in colors.values()])
    assert means.std(0).max() < within / 2


def test_same_set_is_reused(toy, monkeypatch):
    monkeypatch.setattr(toy_module, '_write_set', None)
    assert not make_toy_dataset(toy, SMALL)


def test_nothing_else_is_overwritten(tmp_path):
    out = tmp_path / 'set'
    small = ToyParams(size=32, unlabeled=1, train=1, val=0)
    make_toy_dataset(out, small)
    before = _contents(out)
    other = ToyParams(size=32, unlabeled=2, train=1, val=0)
    with pytest.raises(FileExistsError, match='unlabeled is 1, wanted 2'):
        make_toy_dataset(out, other)
    assert _contents(out) == before
    assert make_toy_dataset(out, other, overwrite=True)
    assert len(list(out.glob('unlabeled/*.jpg'))) == 2

    (out / 'train' / '000000.jpg').write_bytes(b'')
    with pytest.raises(FileExistsError, match='have been changed'):
        make_toy_dataset(out, other)

    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('all my work')
    with pytest.raises(FileExistsError, match='is not a toy set'):
        make_toy_dataset(tmp_path / 'mine', small, overwrite=True)
    assert (tmp_path / 'mine' / 'thesis.tex').exists()


def test_a_stopped_run_leaves_nothing(tmp_path):

    def stop(items, *_):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_toy_dataset(tmp_path / 'set', SMALL, track=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('kwargs', 'match'), [
    (dict(size=8), 'size of the toy set is 8'),
    (dict(train=-1), 'train of the toy set is -1'),
    (dict(unlabeled=0, train=0, val=0), 'have 0 images'),
])
def test_wrong_parameters(kwargs, match):
    with pytest.raises(ValueError, match=match):
        ToyParams(**kwargs)


def test_tool(tmp_path, monkeypatch, capsys):
    tool = str(Path(__file__).parents[2] / TOOL)
    options = '--size 32 --unlabeled 2 --train 3 --val 0 --workers 1'
    command = [tool, *options.split(), '--out', str(tmp_path / 'toy')]
    preview = str(tmp_path / 'a.png')
    monkeypatch.setattr(sys, 'argv', [*command, '--preview', preview])
    runpy.run_path(tool, run_name='__main__')
    said = capsys.readouterr()
    assert 'Wrote the toy set' in said.out
    assert 'toy images: 5/5' in said.err
    assert cv2.imread(preview).shape[1] > 3 * 256

    runpy.run_path(tool, run_name='__main__')
    assert 'is already in' in capsys.readouterr().out

    monkeypatch.setattr(sys, 'argv', [*command, '--seed', '1'])
    with pytest.raises(SystemExit):
        runpy.run_path(tool, run_name='__main__')
    error = capsys.readouterr().err
    assert 'seed is 0, wanted 1' in error
    assert 'Traceback' not in error
