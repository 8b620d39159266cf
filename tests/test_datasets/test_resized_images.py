# Copyright (c) mmloc contributors. All rights reserved.
import pickle

import cv2
import numpy as np
import pytest

from mmloc.datasets import MixImagesDataset
from mmloc.datasets.resized_images import ResizedImages
from mmloc.datasets.transforms import PasteInstance


@pytest.fixture
def inner(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / 'images').mkdir()
    for i in range(6):
        cv2.imwrite(
            str(tmp_path / 'images' / f'{i}.png'),
            rng.integers(0, 256, (60 + i, 90, 3), dtype=np.uint8))
    return dict(
        type='mmloc.UnlabeledImageDataset',
        data_root=str(tmp_path / 'images'),
        pipeline=[dict(type='mmloc.LoadImage')])


def composites(inner, canvas=(40, 30), **kwargs):
    """Composites of one seed, of a dataset that went through a pickle."""
    paste = PasteInstance(background=1, canvas=canvas, width_range=(8, 20))
    dataset = pickle.loads(
        pickle.dumps(MixImagesDataset(inner, [paste], **kwargs)))
    np.random.seed(3)
    return [dataset[i % 6]['img'] for i in range(30)], dataset


def test_composites_are_the_same_with_fewer_decodes(inner, tmp_path):
    cache = dict(path=str(tmp_path / 'cache' / 'b'), size=(40, 30))
    expected, _ = composites(inner)
    made, _ = composites(inner, background_cache=cache)
    np.testing.assert_array_equal(made, expected)
    loaded = []

    class Count(MixImagesDataset):

        def _mix(self, idx):
            load = self.dataset.prepare_data
            self.dataset.prepare_data = lambda i: loaded.append(i) or load(i)
            try:
                return super()._mix(idx)
            finally:
                self.dataset.prepare_data = load

    dataset = Count(
        inner, [PasteInstance(background=1, canvas=(40, 30),
                              width_range=(8, 20))],
        background_cache=cache)
    np.random.seed(3)
    again = [dataset[i % 6]['img'] for i in range(30)]
    np.testing.assert_array_equal(again, expected)
    # The foregrounds and no more.
    assert loaded == [i % 6 for i in range(30)]


def test_rows_of_other_names_and_torn_rows_do_not_count(tmp_path):
    path = str(tmp_path / 'rows')
    rows = ResizedImages(path, 3, (8, 6))
    img = np.full((6, 8, 3), 7, np.uint8)
    assert rows.get(1, 'a') is None
    rows.put(1, 'a', img)
    other = ResizedImages(path, 3, (8, 6))
    np.testing.assert_array_equal(other.get(1, 'a'), img)
    assert other.get(1, 'b') is None
    assert other.get(2, 'a') is None
    other._rows[1]['img'] = 0
    assert rows.get(1, 'a') is None


def test_rejects_what_does_not_fit(inner, tmp_path):
    path = str(tmp_path / 'rows')
    ResizedImages(path, 3, (8, 6))
    with pytest.raises(ValueError, match='expected 608 for 4 images of 8 x 6'):
        ResizedImages(path, 4, (8, 6))
    cache = dict(path=str(tmp_path / 'b'), size=(20, 20))
    with pytest.raises(ValueError, match='20 x 20 pixels, but the canvas'):
        composites(inner, background_cache=cache)
