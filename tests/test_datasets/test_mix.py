# Copyright (c) mmloc contributors. All rights reserved.
import copy

import cv2
import numpy as np
import pytest

from mmloc.datasets import MixImagesDataset
from mmloc.registry import DATASETS


@pytest.fixture
def inner(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((2, 2), i, np.uint8))
    return dict(
        type='mmloc.UnlabeledImageDataset',
        data_root=str(tmp_path),
        pipeline=[dict(type='mmloc.LoadImage')])


def _drawn(results, key='backgrounds'):
    return [sample['img_id'] for sample in results[key]]


def test_sample(inner):
    dataset = DATASETS.build(
        dict(
            type='mmloc.MixImagesDataset',
            dataset=inner,
            pipeline=[],
            num_backgrounds=3,
            num_foregrounds=2))
    assert len(dataset) == 5
    assert dataset.get_data_info(3)['img_id'] == 3
    assert dataset.metainfo['dataset_type'] == 'unlabeled_images'
    results = dataset[3]
    assert results['img_id'] == 3
    assert (results['img'] == 3).all()
    assert len(results['backgrounds']) == 3
    own, extra = results['foregrounds']
    assert (own['img'] == 3).all()
    assert (extra['img'] == extra['img_id']).all()


def test_number_of_foregrounds(inner):
    dataset = MixImagesDataset(inner, [], num_foregrounds=(0, 2))
    np.random.seed(0)
    counts = [len(dataset[1]['foregrounds']) for _ in range(60)]
    assert set(counts) == {0, 1, 2}
    with pytest.raises(ValueError, match=r'num_foregrounds is \(2, 1\)'):
        MixImagesDataset(inner, [], num_foregrounds=(2, 1))


def test_draws_are_uniform_and_seeded(inner):
    dataset = MixImagesDataset(inner, [])
    np.random.seed(0)
    first = [_drawn(dataset[2]) for _ in range(200)]
    np.random.seed(0)
    assert first == [_drawn(dataset[2]) for _ in range(200)]
    # 400 draws from 5 images, the foreground among them.
    counts = np.bincount(np.ravel(first), minlength=5)
    assert counts.min() > 50
    assert counts.max() < 110


def test_exclude_foreground(inner):
    dataset = MixImagesDataset(
        inner, [], num_foregrounds=2, exclude_foreground=True)
    np.random.seed(0)
    for idx in (0, 2, 4):
        results = [dataset[idx] for _ in range(60)]
        drawn = np.ravel([_drawn(r) for r in results])
        assert set(drawn) == set(range(5)) - {idx}
        assert idx not in [r['foregrounds'][1]['img_id'] for r in results]


def test_exclude_foreground_needs_two_images(inner):
    one = dict(inner, indices=1)
    assert _drawn(MixImagesDataset(one, [])[0]) == [0, 0]
    with pytest.raises(ValueError, match='at least 2 images'):
        MixImagesDataset(one, [], exclude_foreground=True)
    lazy = MixImagesDataset(one, [], exclude_foreground=True, lazy_init=True)
    with pytest.raises(ValueError, match='at least 2 images'):
        len(lazy)


def test_unreadable_images_are_replaced(inner, tmp_path):
    (tmp_path / '1.png').write_bytes(b'')
    dataset = MixImagesDataset(
        dict(inner, on_corrupt='skip'), [], exclude_foreground=True)
    np.random.seed(0)
    for _ in range(60):
        results = dataset[1]
        assert 1 not in [results['img_id'], *_drawn(results)]
        assert results['img_id'] not in _drawn(results)
    # Nothing but the foreground is left.
    two = dict(inner, on_corrupt='skip', indices=2)
    with pytest.raises(RuntimeError, match='draws gave the foreground'):
        MixImagesDataset(two, [], exclude_foreground=True)[0]


def test_none_is_redrawn_and_counted(inner):
    dataset = MixImagesDataset(
        inner, [lambda r: None if r['img_id'] < 4 else r], max_refetch=500)
    np.random.seed(0)
    assert dataset[0]['img_id'] == 4
    assert dataset.num_redrawn > 0
    num = dataset.num_redrawn
    assert dataset[4]['img_id'] == 4
    assert dataset.num_redrawn == num
    dataset = MixImagesDataset(inner, [lambda r: None], max_refetch=3)
    with pytest.raises(RuntimeError, match='None for 4 samples in a row'):
        dataset[0]


def test_in_a_multi_branch_pipeline(inner):
    """Branches get copies, so one may not change another's images."""

    def blank(results):
        results['backgrounds'][0]['img'][:] = 255
        return copy.copy(results)

    def pack(results):
        mean = results['backgrounds'][0]['img'].mean()
        return dict(inputs=mean, data_samples=results['img_id'])

    dataset = MixImagesDataset(
        inner, [
            dict(
                type='mmdet.MultiBranch',
                branch_field=['query', 'key'],
                query=[blank, pack],
                key=[pack])
        ])
    results = dataset[1]
    assert results['inputs']['query'] == 255
    assert results['inputs']['key'] < 5
    assert results['data_samples'] == dict(query=1, key=1)


def test_wrong_arguments(inner):
    with pytest.raises(TypeError, match='dataset is a list'):
        MixImagesDataset([], [])
    with pytest.raises(ValueError, match='num_backgrounds is -1'):
        MixImagesDataset(inner, [], num_backgrounds=-1)
