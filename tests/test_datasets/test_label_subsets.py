# Copyright (c) mmloc contributors. All rights reserved.
"""The first images of a labelled set, in a fixed order."""
import json

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset

import mmloc.datasets.label_subsets as label_subsets
from mmloc.datasets.label_subsets import LabelSubset, describe_labels
from mmloc.registry import DATASETS

FOLDS = [f'mini_coco/fold{i}' for i in range(1, 6)]
COCO_IMAGES = 117266


def box(image, label, iscrowd=0):
    return dict(image_id=image, category_id=label, bbox=[1, 1, 8, 8], area=64,
                iscrowd=iscrowd)


@pytest.fixture
def coco(tmp_path):
    """Images 50, 20, 40, 10, 30 of a file; 20 is empty, 40 has a crowd."""
    boxes = [box(50, 1), box(40, 2, 1), box(10, 1), box(10, 2), box(30, 2),
             box(30, 1, 1)]
    (tmp_path / 'coco.json').write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=64, height=48)
                for i in (50, 20, 40, 10, 30)],
        annotations=[dict(x, id=i) for i, x in enumerate(boxes, 1)],
        categories=[dict(id=i, name=f'c{i}') for i in (1, 2, 3)])))
    return dict(
        type='mmdet.CocoDataset', data_root=str(tmp_path),
        ann_file='coco.json', data_prefix=dict(img=''),
        metainfo=dict(classes=('c1', 'c2', 'c3')))


def image_ids(dataset):
    return [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]


@pytest.mark.parametrize(('settings', 'ids'), [
    (dict(num=2), [50, 20]),
    (dict(num=1.0), [50, 20, 40, 10, 30]),
    (dict(num=0.5), [50, 20]),
    # As detectron2: by id, without 20 and 40.
    (dict(num=1.0, by_image_id=True), [10, 30, 50]),
    (dict(num=0.7, by_image_id=True, total=3), [10, 30]),
])
def test_the_first_images_are_taken(coco, settings, ids):
    dataset = LabelSubset(coco, **settings)
    assert image_ids(dataset) == ids
    assert len(dataset) == len(ids)
    assert dataset[0]['img_id'] == ids[0]
    assert dataset.metainfo['classes'] == ('c1', 'c2', 'c3')


def test_a_list_gives_the_order_and_less_is_part_of_more(coco, tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('# mine\n2\n0\n1\n')
    settings = dict(order=str(path), by_image_id=True)
    found = [image_ids(LabelSubset(coco, num=n, **settings))
             for n in (1, 2, 3)]
    assert found == [[50], [50, 10], [50, 10, 30]]


def test_wrappers_are_chosen_from(coco):
    both = ConcatDataset([DATASETS.build(coco), DATASETS.build(coco)])
    assert image_ids(LabelSubset(both, num=0.7)) == [50, 20, 40, 10, 30, 50,
                                                     20]


def test_labels_are_counted(coco):
    assert describe_labels(LabelSubset(coco, 1.0, by_image_id=True)) == (
        '3 images, 4 boxes of 2 of 3 classes; none of c3')


@pytest.mark.parametrize(('settings', 'words'), [
    (dict(num=0), 'num is 0'),
    (dict(num=1.5), 'num is 1.5'),
    (dict(num=0.1), 'num=0.1 is 0 of 5 images'),
    (dict(num=6), 'num=6 is 6 of 5 images'),
    (dict(num=1, by_image_id=True, total=COCO_IMAGES),
     '3 images to learn from, but positions are meant for 117,266'),
    (dict(num=2, order='short'), 'begins with 1 different images of 5'),
    (dict(num=2, order='high'), 'begins with 1 different images of 5'),
    (dict(num=1, order='words'), 'is no list of positions'),
])
def test_what_does_not_fit_is_refused(coco, tmp_path, monkeypatch, settings,
                                      words):
    monkeypatch.chdir(tmp_path)
    for name, text in (('short', '3\n3\n1'), ('high', '0\n5'),
                       ('words', 'one')):
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        LabelSubset(coco, **settings)


def test_a_list_that_is_not_there_is_told_with_those_that_are(coco):
    with pytest.raises(FileNotFoundError, match=', '.join(FOLDS)):
        LabelSubset(coco, num=1, order='mini_coco/fold6')


def test_shipped_lists_are_those_that_their_heads_describe():
    """Disjoint, and the same for ever: RandomState's draws never change."""
    order = np.random.RandomState(0).permutation(COCO_IMAGES)
    for i, name in enumerate(FOLDS):
        found = label_subsets._read_order(name, 11726, COCO_IMAGES)
        assert (found == order[i * 11726:(i + 1) * 11726]).all()
