# Copyright (c) mmloc contributors. All rights reserved.
import json
from pathlib import Path

import pytest

from mmloc.datasets.own_data import read_labeled, read_sets


def _texts(findings, level):
    return {f.text: f.examples for f in findings if f.level == level}


def test_coco(coco, findings, tmp_path):
    path = coco(['a.png', 'b.png'], [(0, 7, [1, 2, 3, 4]), (5, 7, [1] * 4),
                                     (1, 9, [1] * 4)],
                [(3, 'Cat '), (7, 'dog')])
    part, = read_labeled(path, 'mine', findings,
                         rename={'Cat ': 'cat'})
    assert part.root == str(tmp_path / 'images')
    assert part.categories == {3: 'cat', 7: 'dog'}
    assert [ann['bbox'] for ann in part.annotations] == [[1, 2, 3, 4]]
    assert _texts(findings, 'broken') == {
        'mine: boxes whose image id is not listed': ('image 5', ),
        'mine: boxes whose category id is not listed': ('category 9', )}
    notes = _texts(findings, 'note')
    assert 'mine: category ids are [3, 7]' in notes
    assert "mine: 2 images, 1 boxes, classes 'dog' (1)" in notes


def test_ids_of_coco(coco, findings):
    path = coco([dict(file_name='a.png', id='x'),
                 dict(file_name='b.png', id='y'),
                 dict(file_name='c.png', id='x')], [('y', 1, [1, 2, 3, 4])])
    part, = read_labeled(path, 'mine', findings)
    assert [i['file_name'] for i in part.images] == ['a.png', 'b.png']
    assert part.annotations[0]['image_id'] == part.images[1]['id']
    assert all(isinstance(i['id'], int) for i in part.images)
    assert _texts(findings, 'broken') == {
        'mine: images whose id another image has': ('c.png', )}


@pytest.mark.parametrize(('box', 'bbox', 'base'), [
    ((1, 1, 60, 40), [0, 0, 60, 40], 1),  # the whole image, as VOC counts
    ((0, 0, 60, 40), [0, 0, 60, 40], 0),
])
def test_voc(voc, findings, box, bbox, base):
    folder = voc([[('cat', box, 0), ('dog', (5, 5, 9, 9), 1)], []])
    part, = read_labeled(str(folder), 'mine', findings)
    assert part.root == str(folder / 'images')
    assert part.categories == {1: 'cat', 2: 'dog'}
    assert [i['file_name'] for i in part.images] == ['0.jpg', '1.jpg']
    assert part.annotations[0]['bbox'] == bbox
    assert [ann['iscrowd'] for ann in part.annotations] == [0, 1]
    notes = _texts(findings, 'note')
    assert f'mine: boxes count pixels from {base}' in notes
    assert notes['mine: difficult objects'] == ('0.jpg', )


def test_broken_voc(voc, findings):
    folder = voc([[('cat', (1, 1, 9, 9), 0), ('', (1, 1, 9, 9), 0),
                   ('cat', (1, 1, 9, 'x'), 0)], [], []])
    (folder / 'annots' / '1.xml').write_text('<annotation>')
    (folder / 'images' / '2.jpg').unlink()
    part, = read_labeled(str(folder), 'mine', findings)
    assert len(part.images) == len(part.annotations) == 1
    broken = _texts(findings, 'broken')
    assert broken['mine: objects without name or box'] == ('0.xml', '0.xml')
    assert broken['mine: .xml files without their image'] == ('2.xml', )
    assert broken['mine: .xml files that cannot be read'][0].startswith(
        '1.xml (')


def test_lists_of_voc(voc, findings):
    folder = voc([[('cat', (1, 1, 9, 9), 0)]] * 4,
                 folders=('JPEGImages', 'Annotations'))
    lists = folder / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('0\n2\n7\n')
    (lists / 'val.txt').write_text('1 1\n3 -1\n')
    sets = read_labeled(str(folder), 'mine', findings)
    assert [[i['file_name'] for i in part.images] for part in sets] == [
        ['0.jpg', '2.jpg'], ['1.jpg']]
    assert [len(part.annotations) for part in sets] == [2, 1]
    assert _texts(findings, 'broken') == {
        'mine (train): listed images without an .xml': ('7', )}


@pytest.mark.parametrize(('text', 'error', 'message'), [
    (None, FileNotFoundError, "data set '.*' does not exist"),
    ('{', ValueError, 'is not a COCO json of detection'),
    (json.dumps(dict(images=[], annotations=[])), ValueError,
     "KeyError: 'categories'"),
    (json.dumps(dict(images=[dict(id=1, file_name='x.png')], annotations=[],
                     categories=[])), FileNotFoundError,
     r"'x.png', are in none of the usual folders .* by --images"),
])
def test_what_cannot_be_read(tmp_path, findings, text, error, message):
    if text is not None:
        (tmp_path / 'a.json').write_text(text)
    with pytest.raises(error, match=message):
        read_labeled(str(tmp_path / 'a.json'), 'mine', findings)


def test_folders_that_are_no_set(tmp_path, voc, findings):
    with pytest.raises(FileNotFoundError, match=r'There is no \.xml in'):
        read_labeled(str(tmp_path), 'mine', findings)
    folder = voc([[]])
    (folder / 'images' / '0.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='There are no images in'):
        read_labeled(str(folder), 'mine', findings)
    (tmp_path / 'a.csv').touch()
    with pytest.raises(ValueError, match=r'neither a COCO \.json nor a'):
        read_labeled(str(tmp_path / 'a.csv'), 'mine', findings)


def test_a_set_for_evaluation(voc, coco, findings):
    folder = str(voc([[('cat', (1, 1, 9, 9), 0)]] * 2,
                     folders=('JPEGImages', 'Annotations')))
    path = coco(['a.png'], [(0, 1, [1, 1, 9, 9])])
    assert [part.name for part in read_sets(path, folder, findings)] == [
        'train', 'val']
    lists = folder + '/ImageSets/Main'
    Path(lists).mkdir(parents=True)
    for name in ('train', 'val'):
        Path(lists, f'{name}.txt').write_text('0\n')
    assert len(read_sets(folder, None, findings)) == 2
    with pytest.raises(ValueError, match='has lists for training'):
        read_sets(folder, path, findings)
