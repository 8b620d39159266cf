# Copyright (c) mmloc contributors. All rights reserved.
import copy
import pickle

import cv2
import numpy as np
import pytest

from mmloc.resampling import DeferredImage, carry_out, resize_antialiased

IMAGE = np.random.RandomState(0).randint(0, 256, (40, 50, 3), np.uint8)


def made_of(image):
    """What the data preprocessor makes of a packed image, and its plan."""
    source, plan = image.pack()
    return carry_out(source.permute(1, 2, 0).numpy(), plan), plan


def test_steps_are_noted():
    image = DeferredImage(IMAGE)[5:35, 8:48][2:22, 3:33].resize((16, 12))
    image = image.flip('horizontal')
    assert image.shape == (12, 16, 3)
    expected = resize_antialiased(IMAGE[7:27, 11:41], (16, 12))[:, ::-1]
    packed, plan = made_of(image)
    assert plan == (7, 11, 20, 30, 12, 16, 'horizontal')
    np.testing.assert_array_equal(packed, expected)
    np.testing.assert_array_equal(image.pixels, expected)
    np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(('direction', 'axes'), [
    ('horizontal', 1), ('vertical', 0), ('diagonal', (0, 1))])
def test_flips(direction, axes):
    packed, _ = made_of(DeferredImage(IMAGE).flip(direction))
    np.testing.assert_array_equal(packed, np.flip(IMAGE, axes))


def test_nothing_to_do():
    image = DeferredImage(IMAGE)
    source, plan = image.resize((50, 40)).pack()
    assert plan is None
    assert source.shape == (3, 40, 50)
    assert source.data_ptr() == IMAGE.ctypes.data
    assert image.pixels is IMAGE


def test_images_of_one_source_share_its_tensor():
    image = DeferredImage(IMAGE)
    sources = [x.pack()[0] for x in (image, image[3:20, 4:30],
                                     image.resize((9, 9)))]
    assert all(source is sources[0] for source in sources)


@pytest.mark.parametrize('late', [
    lambda img: img.resize((10, 9)),
    lambda img: img[2:10, 3:12],
    lambda img: img.flip('vertical').flip('horizontal'),
    lambda img: img.flip('vertical').resize((10, 9)),
    lambda img: img.flip('vertical')[1:9, 2:9],
])
def test_another_order_goes_on_with_the_pixels(late):
    image = late(DeferredImage(IMAGE)[5:35, 8:48].resize((16, 12)))
    first = resize_antialiased(IMAGE[5:35, 8:48], (16, 12))
    np.testing.assert_array_equal(
        made_of(image)[0], late(DeferredImage(first)).pixels)
    np.testing.assert_array_equal(made_of(image)[0], image.pixels)


def test_pixels_that_were_made_are_not_made_again():
    """A view and the one that is made of it."""
    second = DeferredImage(IMAGE)[5:35, 8:48].resize((16, 12))
    fourth = second.resize((8, 6))
    mirrored = second.flip('horizontal')
    sources = [image.pack()[0] for image in (second, fourth, mirrored)]
    assert sources[0].shape == (3, 12, 16)
    assert all(source is sources[0] for source in sources)
    assert [image.pack()[1] for image in (second, fourth, mirrored)] == [
        None, (0, 0, 12, 16, 6, 8, None), (0, 0, 12, 16, 12, 16, 'horizontal')]


def test_what_reads_pixels_gets_the_right_ones_or_none():
    image = DeferredImage(IMAGE)[5:35, 8:48].resize((16, 12))
    for index in (0, (slice(None), slice(0, 4, 2)), (..., 1),
                  (slice(2), slice(3), 0), np.array([1, 2])):
        np.testing.assert_array_equal(image[index], image.pixels[index])
    np.testing.assert_array_equal(np.flip(image, 1), image.pixels[:, ::-1])
    with pytest.raises(cv2.error):
        cv2.flip(image, 1)


def test_copies_and_pickles():
    image = DeferredImage(IMAGE)[5:35, 8:48].resize((16, 12))
    for other in (copy.deepcopy(image), pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(other.pixels, image.pixels)
