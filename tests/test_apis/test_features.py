# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch

from mmloc.apis import box_similarity, extract_box_features
from mmloc.datasets import UnreadableImageError
from tests.test_models.test_probes.tiny import make_network, make_pretraining

BOX = [30, 10, 60, 50]


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 256, (8, 12, 3), np.uint8), (96, 64))


@pytest.mark.parametrize(('source', 'channels'), [('c3', 8), ('p4', 4),
                                                  ('head', 32),
                                                  ('embedding', 24)])
def test_sources(image, source, channels):
    model = make_pretraining()
    vectors = extract_box_features(model, image, [BOX, [0, 0, 96, 64]],
                                   source)
    assert vectors.shape == (2, channels)
    assert not vectors.requires_grad
    assert not vectors[0].allclose(vectors[1])


def test_images_are_paths_or_pixels_and_do_not_change_each_other(
        image, tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, image)
    model = make_network()
    both = extract_box_features(
        model, [image[:40], path], [[[30, 10, 60, 40]], [BOX]], 'c4')
    torch.testing.assert_close(
        both[1:], extract_box_features(model, image, [BOX], 'c4'))


def test_boxes_are_scaled_with_the_image(image):
    model = make_network()
    double = cv2.resize(image, (192, 128))
    torch.testing.assert_close(
        extract_box_features(model, image, [BOX], 'c3', side=192),
        extract_box_features(model, double, [[2 * n for n in BOX]], 'c3'))


def test_pixels_of_a_box(image):
    vector, = extract_box_features(make_network(), image, [[16, 16, 72, 44]],
                                   'pixels')
    mean = image[16:44, 16:72].reshape(-1, 3).mean(axis=0)
    # The tiny network keeps the channels in their order.
    assert 64 * vector.numpy() + 128 == pytest.approx(mean, abs=1)


@pytest.mark.parametrize(('boxes', 'words'), [
    ([[10, 10, 10, 20]], 'no area in the image of 96 x 64'),
    ([[100, 10, 120, 20]], 'no area'),
])
def test_boxes_without_area(image, boxes, words):
    with pytest.raises(ValueError, match=words):
        extract_box_features(make_network(), image, boxes)


def test_images_without_boxes_of_their_own(image):
    with pytest.raises(ValueError, match=r'1 arrays of boxes .* 2 images'):
        extract_box_features(make_network(), [image, image], [[BOX]])


def test_wrong_images(tmp_path):
    with pytest.raises(UnreadableImageError, match=r'none\.jpg'):
        extract_box_features(make_network(), str(tmp_path / 'none.jpg'), [BOX])
    with pytest.raises(TypeError, match='float64 of shape'):
        extract_box_features(make_network(), np.zeros((9, 9, 3)), [BOX])


def test_a_box_is_most_like_itself(image):
    # The box is that around the middle of a cell of the grid of 12 x 8.
    box = [36 - 10, 36 - 10, 36 + 10, 36 + 10]
    found = box_similarity(make_network(), image, box, image, 'c2', steps=12)
    assert found.values.shape == (8, 12)
    assert np.unravel_index(found.values.argmax(), (8, 12)) == (4, 4)
    assert found.box.tolist() == box
    assert found.score == pytest.approx(1)


def test_similarity_over_an_image_of_another_size(image):
    large = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    found = box_similarity(
        make_network(), image, [26, 26, 46, 46], large, 'c2', side=96,
        steps=12)
    # Both are searched at the size of the first.
    assert found.box.tolist() == pytest.approx([52, 52, 92, 92])
    assert found.score > 0.99
