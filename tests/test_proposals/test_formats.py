# Copyright (c) mmloc contributors. All rights reserved.
import json
import os

import numpy as np
import pytest

from mmloc.proposals.coco_format import read_coco, sniff_json, write_coco
from mmloc.proposals.file_layout import Proposals
from mmloc.proposals.formats import (
    as_stored,
    read_detreg,
    read_soco,
    stem_of,
    write_detreg,
    write_soco,
)

NAMES = ['cats/n1_1.JPEG', 'dogs/n2.v1_7.JPEG', 'dogs/n3.JPEG']
# As SoCo's scripts write it: tuples of integers become lists.
SOCO = {'n1_1': [[10, 20, 30, 40], [0, 0, 99, 49]], 'n2': [], 'n3':
        [[1, 2, 3, 4]]}


def _size_of(name):
    return 100, 80, 1


def _records(kind=float):
    boxes = [[[10, 20, 40, 60], [0, 0, 99, 49]], [], [[1, 2, 4, 6]]]
    return [Proposals(name, 100, 80,
                      np.array(b, np.float32).reshape(-1, 4))
            for name, b in zip(NAMES, boxes)]


def _assert_same(found, expected):
    found = list(found)
    assert [r[:3] for r in found] == [r[:3] for r in expected]
    for a, b in zip(found, expected):
        assert a.boxes.dtype == np.float32
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_stem_is_soco_s():
    assert stem_of('a.b/c.d.e.jpg') == 'c'
    assert stem_of('c') == 'c'


def test_soco_both_ways(tmp_path):
    path = str(tmp_path / 'a.json')
    with open(path, 'w') as f:
        json.dump(SOCO, f)
    assert sniff_json(path) == 'soco'
    _assert_same(read_soco(path, NAMES, _size_of), _records())
    again = str(tmp_path / 'b.json')
    write_soco(again, _records())
    with open(again) as f:
        text = f.read()
    assert json.loads(text) == SOCO
    assert '.0' not in text  # integers stay integers
    with pytest.raises(ValueError, match='is there already'):
        write_soco(again, _records())


def test_soco_and_other_images(tmp_path):
    path = str(tmp_path / 'a.json')
    with open(path, 'w') as f:
        json.dump(SOCO, f)
    with pytest.warns(UserWarning, match='^2 entries of .* passed over'):
        _assert_same(read_soco(path, NAMES[:1], _size_of), _records()[:1])
    with pytest.raises(ValueError, match=r"entry for 1 of .* 'x/n4.JPEG'"):
        list(read_soco(path, [*NAMES, 'x/n4.JPEG'], _size_of))
    with pytest.raises(ValueError, match=r"'cats/n1_1.* 'x/n1_1.png' have"):
        list(read_soco(path, [*NAMES, 'x/n1_1.png'], _size_of))
    double = [*_records(), _records()[0]._replace(name='x/n3.png')]
    with pytest.raises(ValueError, match=r"'dogs/n3.JPEG' and 'x/n3.png'"):
        write_soco(str(tmp_path / 'b.json'), double)
    assert os.listdir(tmp_path) == ['a.json']


def test_detreg_both_ways(tmp_path):
    folder = str(tmp_path / 'ss_box_cache')
    write_detreg(folder, _records())
    assert sorted(os.listdir(folder)) == ['n1_1.npy', 'n2.npy', 'n3.npy']
    np.testing.assert_array_equal(
        np.load(f'{folder}/n1_1.npy'), [[10, 20, 40, 60], [0, 0, 99, 49]])
    _assert_same(read_detreg(folder, NAMES, _size_of), _records())
    with pytest.raises(ValueError, match='neither replaced nor added to'):
        write_detreg(folder, _records())
    with pytest.raises(FileNotFoundError, match=r"n4.npy' .* 'n4.jpg'"):
        list(read_detreg(folder, ['n4.jpg'], _size_of))
    with open(f'{folder}/n2.npy', 'w') as f:
        f.write('not numpy')
    with pytest.raises(ValueError, match=r'n2.npy.* is no array'):
        list(read_detreg(folder, NAMES, _size_of))


@pytest.mark.parametrize('content', [
    np.zeros(8), np.zeros((2, 5)), np.zeros((1, 2, 4)), np.array([['a'] * 4])])
def test_arrays_of_another_shape(tmp_path, content):
    np.save(tmp_path / 'a.npy', content)
    with pytest.raises(ValueError, match=r'a.npy.* shape .*expected .*\(n, 4'):
        list(read_detreg(str(tmp_path), ['a.jpg'], _size_of))
    np.save(tmp_path / 'a.npy', np.zeros(0))
    assert len(list(read_detreg(str(tmp_path), ['a.jpg'], _size_of))) == 1


def test_a_flat_list_is_no_box(tmp_path):
    (tmp_path / 'a.json').write_text('{"a": [1, 2, 3, 4]}')
    with pytest.raises(ValueError, match=r'a.json.* shape \(4,\), expected'):
        list(read_soco(str(tmp_path / 'a.json'), ['a.jpg'], _size_of))


def test_coco_both_ways(tmp_path):
    path = str(tmp_path / 'a.json')
    write_coco(path, _records(), dict(scale=300))
    assert sniff_json(path) == 'coco'
    params, num, records = read_coco(path)
    assert (params, num) == (dict(scale=300), 3)
    _assert_same(records, _records())
    with open(path) as f:
        content = json.load(f)
    assert content['annotations'][1] == dict(
        id=2, image_id=1, category_id=1, bbox=[0, 0, 99, 49], area=4851,
        iscrowd=0)


def test_mmdet_reads_our_coco(tmp_path):
    from mmdet.datasets import CocoDataset
    path = str(tmp_path / 'a.json')
    write_coco(path, _records(), {})
    dataset = CocoDataset(
        ann_file=path, data_prefix=dict(img=''),
        metainfo=dict(classes=('selective_search', )))
    infos = [dataset.get_data_info(i) for i in range(3)]
    assert [len(info['instances']) for info in infos] == [2, 0, 1]
    assert infos[2]['instances'][0]['bbox'] == [1, 2, 4, 6]
    assert (infos[0]['width'], infos[0]['height']) == (100, 80)


def test_coco_of_others(tmp_path):
    """Annotations before the images, in any order, with scores and so on."""
    path = tmp_path / 'a.json'
    images = [dict(id=id_, file_name=name, width=100, height=80)
              for id_, name in zip((7, 3, 5), NAMES)]
    rows = [(7, [10, 20, 30, 40]), (5, [1, 2, 3, 4]), (7, [0, 0, 99, 49])]
    annotations = [dict(image_id=i, bbox=box, score=0.5) for i, box in rows]
    content = dict(info=None, annotations=annotations, images=images,
                   categories=[])
    path.write_text(json.dumps(content))
    params, _, records = read_coco(str(path))
    assert params == {}
    _assert_same(records, _records())
    content['annotations'].append(dict(image_id=99, bbox=[0, 0, 1, 1]))
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='image id 99, which is not listed'):
        list(read_coco(str(path))[2])
    images[1]['id'] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'a.json.*image id .*7.* more than'):
        list(read_coco(str(path))[2])
    del images[0]['width']
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"size of each .*KeyError: 'width'"):
        read_coco(str(path))
    path.write_text('{"images": []}')
    with pytest.raises(ValueError, match='lists 0 images'):
        read_coco(str(path))
    path.write_text('[1, 2]')
    with pytest.raises(ValueError, match='is not a JSON object'):
        sniff_json(str(path))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_boxes_follow_the_orientation(tmp_path, orientation):
    """The pixels in a box are those that Pillow shows upright."""
    from PIL import Image, ImageOps
    stored = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (8, 12), np.uint8))
    stored.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(stored)
    (tmp_path / 'a.json').write_text('{"a": [[2, 1, 5, 3]]}')
    record, = read_soco(str(tmp_path / 'a.json'), ['a.png'],
                        lambda name: (*stored.size, orientation))
    assert (record.width, record.height) == upright.size
    # x2 and y2 are the last column and row.
    expected = np.sort(np.asarray(stored.crop((2, 1, 8, 5))), axis=None)
    x1, y1, x2, y2 = record.boxes[0].tolist()
    found = np.asarray(upright.crop((x1, y1, x2 + 1, y2 + 1)))
    np.testing.assert_array_equal(np.sort(found, axis=None), expected)
    back = as_stored(record, (*stored.size, orientation))
    assert back.boxes.tolist() == [[2, 1, 7, 4]]
    assert (back.width, back.height) == stored.size
