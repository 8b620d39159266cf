# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import pytest
from PIL import Image

from mmloc.datasets.near_duplicates import Pair
from mmloc.datasets.own_data import (
    LabeledSet,
    advise,
    check_coverage,
    check_set,
    read_labeled,
    same_classes,
    split_set,
)


def _found(findings, level):
    return {
        f.text.removeprefix('mine: '): f.examples
        for f in findings if f.level == level
    }


def _set(name, classes, boxes, num=4):
    return LabeledSet(
        name, '', [dict(id=i, file_name=f'{i}.png', width=60, height=40)
                   for i in range(num)],
        [dict(image_id=i, category_id=cat, bbox=[1, 1, 9, 9])
         for i, cat in boxes], dict(enumerate(classes, 1)))


def test_boxes(coco, findings):
    path = coco(['a.png', 'b.png'], [
        (0, 1, [10, 10, 20, 20]),
        (0, 1, [10, 10, 20, 20]),  # twice
        (0, 2, [10, 10, 20, 20]),  # of two classes
        (0, 1, [10, 10, -5, 5]),
        (0, 1, [10, 10, 0, 5]),
        (0, 1, [10, 10, 0.5, 5]),
        (0, 1, [61, 0, 5, 5]),
        (0, 1, [50, 30, 30, 30]),  # sticks out
        (0, 1, [0.5, -1, 60, 42]),  # by rounding
        (0, 1, [1, 2, 3]),
        (0, 1, [1, 2, 3, None]),
        (0, 1, [1, 2, 3, float('nan')]),
    ])
    part, = read_labeled(path, 'mine', findings)
    check_set(part, findings, 1)
    assert [ann['bbox'] for ann in part.annotations] == [
        [10, 10, 20, 20], [10, 10, 20, 20], [50, 30, 10, 10],
        [0.5, 0, 59.5, 40]]
    counts = {f.text: f.count for f in findings if f.level == 'broken'}
    assert counts == {
        'mine: boxes that are not four finite numbers': 3,
        'mine: boxes with x2 < x1 or y2 < y1 (negative width or height)': 1,
        'mine: boxes without area': 1,
        'mine: boxes with a side below 1 px': 1,
        'mine: boxes that lie outside of their image': 1}
    warnings = _found(findings, 'warning')
    assert 'boxes that stick out of their image' in warnings
    assert 'boxes that are there twice' in warnings
    assert warnings['boxes that another class has, too'] == ('a.png', )
    assert _found(findings, 'note')['images without any box'] == ('b.png', )


def test_images(coco, findings, tmp_path):
    names = ['good.png', 'gone.png', 'cut.png', 'unstated.png', 'other.png',
             'turned.jpg', 'small.png']
    path = coco(
        [dict(file_name='unstated.png', width=0, height=0) if
         name == 'unstated.png' else name for name in names] + ['good.png'],
        [(i, 1, [1, 1, 9, 9]) for i in range(8)], missing=['gone.png'])
    folder = tmp_path / 'images'
    data = (folder / 'cut.png').read_bytes()
    (folder / 'cut.png').write_bytes(data[:len(data) // 2])
    cv2.imwrite(str(folder / 'other.png'), np.zeros((80, 120), np.uint8))
    cv2.imwrite(str(folder / 'small.png'), np.zeros((40, 60), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(
        folder / 'turned.jpg', exif=exif)
    part, = read_labeled(path, 'mine', findings)
    check_set(part, findings, 1)
    assert [i['file_name'] for i in part.images] == [
        'good.png', 'unstated.png', 'small.png']
    assert {(i['width'], i['height']) for i in part.images} == {(60, 40)}
    assert len(part.annotations) == 3
    broken = _found(findings, 'broken')
    assert broken['images listed more than once'] == ('good.png', )
    assert broken['images that do not exist'] == ('gone.png', )
    assert broken['images that cannot be read'][0].startswith(
        'cut.png (is damaged')
    assert broken['images stated with width and height swapped'] == (
        'turned.jpg (60 x 40, really 40 x 60)', )
    assert broken['images of another size than stated'] == (
        'other.png (60 x 40, really 120 x 80)', )
    assert len(broken) == 5


def test_classes(findings):
    train = _set('mine', ['dog', 'cat', 'Cat', 'supercategory'],
                 [(0, 1), (1, 2), (2, 3)])
    val = _set('mine', ['cat', 'dog', 'bird'], [(0, 1), (1, 3), (2, 3)])
    names = same_classes([train, val], findings)
    assert names == ['Cat', 'bird', 'cat', 'dog']
    assert train.categories == val.categories == dict(enumerate(names, 1))
    assert [a['category_id'] for a in train.annotations] == [4, 3, 1]
    assert [a['category_id'] for a in val.annotations] == [3, 2, 2]
    assert list(_found(findings, 'wrong').values()) == [("'cat' / 'Cat'", )]
    assert _found(findings, 'warning') == {
        'classes without any box': ("'supercategory'", )}
    findings.clear()
    check_coverage(train, val, findings)
    assert _found(findings, 'warning') == {
        'classes with boxes in mine alone': ("'bird'", ),
        'classes without boxes in mine': ("'dog'", "'Cat'")}
    val.annotations = []
    check_coverage(train, val, findings)
    assert 'not one box is left' in _found(findings, 'wrong')


def test_expected_classes(findings):
    part = _set('mine', ['dog', 'kat'], [(0, 1), (1, 2)])
    assert same_classes([part], findings, ['cat', 'dog']) == ['cat', 'dog']
    assert [ann['category_id'] for ann in part.annotations] == [2]
    assert list(_found(findings, 'broken').values()) == [("'kat'", )]
    assert _found(findings, 'warning') == {
        'classes of --classes without any box': ("'cat'", )}


def test_split_by_names():
    part = _set('mine', ['cat'], [(i, 1) for i in range(400)], 400)
    train, val = split_set(part, 0.25, [])
    assert 70 < len(val.images) < 130
    assert len(train.images) + len(val.images) == 400
    assert {a['image_id'] for a in val.annotations} == {
        i['id'] for i in val.images}
    # Other images change nothing, near-duplicates stay together.
    fewer = _set('mine', ['cat'], [], 300)
    names = {i['file_name'] for i in val.images}
    assert {i['file_name'] for i in split_set(fewer, 0.25, [])[1].images} == {
        name for name in names if int(name[:-4]) < 300}
    pairs = [Pair(f'{i}.png', f'{i + 1}.png', 1., False) for i in range(50)]
    together = {i['file_name'] for i in split_set(part, 0.25, pairs)[1].images}
    assert {f'{i}.png' in together for i in range(51)} == {'0.png' in names}
    for share in (0, 1, 1e-9):
        with pytest.raises(ValueError, match=f'share.* {share}'):
            split_set(part, share, [])


def test_advice(findings):
    # As published for ImageNet and COCO, scaled to the batch of one GPU.
    large = advise('insloc', 1_281_167, 117_266, 480, findings)
    assert (large.pretrain_batch, large.pretrain_lr, large.pretrain_epochs,
            large.side) == (32, 0.00375, 200, 800)
    assert (large.detector_batch, large.detector_lr) == (8, 0.01)
    assert large.detector_iters == 12 * 117_266 // 8
    small = advise('soco', 50, 20, 100, findings)
    assert (small.pretrain_batch, small.pretrain_lr, small.pretrain_epochs,
            small.side, small.detector_iters) == (32, 0.125, 400, 320, 3000)
    assert not findings.count('wrong')
    advise('insloc', 7, 3, 100, findings)
    assert findings.count('wrong') == 1


def test_table(findings):
    findings.add('note', 'a note', 'nothing')
    findings.add('wrong', 'a fault', 'act', ['x', 'y', 'z', 'w'])
    findings.add('broken', 'none of it', 'act', [])
    table = findings.table()
    assert table.row_count == 2
    assert [str(text) for text in table.columns[0].cells] == ['wrong', 'note']
    assert list(table.columns[1].cells) == ['4', '1']
    assert str(next(table.columns[2].cells)) == 'a fault\nx, y, z, ...'
