# Copyright (c) mmloc contributors. All rights reserved.
import pickle

import cv2
import numpy as np
import pytest

from mmloc.datasets import UnlabeledImageDataset
from mmloc.datasets.transforms import (
    GenerateProposals,
    LoadImage,
    LoadProposals,
    proposals,
)
from mmloc.proposals import (
    filter_proposals,
    selective_search,
    write_proposals,
)

BOXES = np.float32([[1, 2, 30, 40], [5, 5, 20, 20]])


@pytest.fixture
def picture():
    """A BGR image (90, 120, 3) of smooth shapes."""
    coarse = np.random.RandomState(0).randint(0, 255, (4, 5, 3), np.uint8)
    return cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / 'a.mmprop')
    records = [('a/1.png', 120, 90, BOXES), ('2.png', 120, 90, []),
               ('3.png', 90, 120, BOXES), ('4.png', 60, 45, BOXES)]
    write_proposals(path, records, {})
    return path


def test_boxes_are_loaded_by_name(path, picture):
    load = pickle.loads(pickle.dumps(LoadProposals(path)))
    results = load(dict(img_name='a/1.png', img=picture))
    np.testing.assert_array_equal(results['proposals'], BOXES)
    assert results['proposals'].dtype == np.float32


@pytest.mark.parametrize('img_id', [0, 3, -1, 10**12, '000001', 0.0, None])
def test_ids_are_a_hint_and_no_more(path, picture, img_id):
    results = LoadProposals(path)(
        dict(img_name='a/1.png', img_id=img_id, img=picture))
    np.testing.assert_array_equal(results['proposals'], BOXES)


@pytest.mark.parametrize(('name', 'words'), [
    ('1.png', r"'1.png' is not among the 4 images .* like 'a/1.png'"),
    ('3.png', '90 x 120 pixels, but the image has 120 x 90: the EXIF'),
    ('4.png', '60 x 45 pixels, .* another copy'),
])
def test_boxes_of_another_image(path, picture, name, words):
    with pytest.raises((KeyError, ValueError), match=words):
        LoadProposals(path)(dict(img_name=name, img=picture))
    with pytest.raises(KeyError, match="no 'img_name'"):
        LoadProposals(path)(dict(img=picture))


def test_images_without_boxes(path, picture):
    def load(on_empty):
        return LoadProposals(path, on_empty)(
            dict(img_name='2.png', img=picture))

    assert load('skip') is None
    assert load('keep')['proposals'].shape == (0, 4)
    assert load('whole_image')['proposals'].tolist() == [[0, 0, 120, 90]]
    with pytest.raises(ValueError, match="on_empty is 'none', expected one"):
        load('none')


def test_in_a_dataset(tmp_path, path, picture):
    (tmp_path / 'images/a').mkdir(parents=True)
    for name in ('2.png', 'a/1.png'):
        cv2.imwrite(str(tmp_path / 'images' / name), picture)
    dataset = UnlabeledImageDataset(
        data_root=str(tmp_path / 'images'),
        pipeline=[LoadImage(), LoadProposals(path)])
    # The image without boxes is replaced by the other one.
    assert [dataset[i]['img_name'] for i in range(2)] == ['a/1.png'] * 2


def test_generated_boxes(tmp_path, picture, monkeypatch):
    settings = dict(scale=50, sigma=0.5, min_size=20, rule='ratio3')
    generate = GenerateProposals(str(tmp_path), **settings)
    rgb = picture[..., ::-1].copy()
    expected = filter_proposals(
        selective_search(rgb, 50, 0.5, 20), 120, 90, 'ratio3')
    assert len(expected) > 1
    found = generate(dict(img=picture))['proposals']
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32

    calls = []
    monkeypatch.setattr(
        proposals, 'selective_search',
        lambda img, **kwargs: calls.append(img) or np.zeros((0, 4), 'f4'))
    again = pickle.loads(pickle.dumps(generate))
    np.testing.assert_array_equal(
        again(dict(img=picture.copy()))['proposals'], expected)
    assert not calls
    # Written otherwise, the same parameters find the same boxes.
    same = GenerateProposals(
        str(tmp_path), np.float32(50), 0.5, 20.0,
        rule=dict(max_ratio=3.0, min_side=np.int64(32)))
    assert same.cache.folder == generate.cache.folder
    for changes in (dict(scale=51), dict(rule='ratio2'), dict(max_side=100)):
        other = GenerateProposals(str(tmp_path), **dict(settings, **changes))
        assert other(dict(img=picture)) is None
    assert len(calls) == 3
    np.testing.assert_array_equal(calls[0], rgb)
    changed = picture.copy()
    changed[0, 0, 0] ^= 1
    assert generate(dict(img=changed)) is None
    assert generate(dict(img=changed)) is None  # an empty list is kept too
    assert len(calls) == 4


def test_generated_without_a_cache(tmp_path, picture):
    generate = GenerateProposals(None, rule='none', on_empty='keep')
    assert len(generate(dict(img=picture))['proposals']) > 0


@pytest.mark.parametrize(('settings', 'words'), [
    (dict(scale=0), 'scale is 0'),
    (dict(rule='ratio'), 'ratio'),
    (dict(on_empty='x'), 'on_empty'),
])
def test_wrong_settings(tmp_path, settings, words):
    with pytest.raises(ValueError, match=words):
        GenerateProposals(str(tmp_path), **settings)
