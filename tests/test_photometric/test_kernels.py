# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import functional

from mmloc.photometric import kernels

from .samples import pictures


@pytest.fixture(scope='module')
def colours():
    """An eighth of all values of each channel, all with all."""
    values = np.arange(0, 256, 7, dtype=np.uint8)
    return np.stack(
        np.meshgrid(values, values, values), -1).reshape(37 * 37, 37, 3)


def pillow(img):
    return Image.fromarray(np.ascontiguousarray(img[..., ::-1]))


def equal(ours, expected):
    np.testing.assert_array_equal(ours[..., ::-1], np.asarray(expected))


@pytest.mark.parametrize('factor', [0., 0.37, 0.83, 1., 1.4, 2.5])
@pytest.mark.parametrize('operation', range(3))
def test_blends_equal_pillow(colours, operation, factor):
    function = (functional.adjust_brightness, functional.adjust_contrast,
                functional.adjust_saturation)[operation]
    factors = list(kernels.NEUTRAL)
    factors[operation] = factor
    equal(kernels.jitter(colours, range(4), factors),
          function(pillow(colours), factor))


@pytest.mark.parametrize('turn', [-0.5, -0.1, -0.001, 0.037, 0.1, 0.5])
def test_hue_equals_pillow(colours, turn):
    shift = int(turn * 255) % 256
    equal(kernels.jitter(colours, [3], [1, 1, 1, shift]),
          functional.adjust_hue(pillow(colours), turn))


def test_grey_and_solarisation_equal_pillow(colours):
    equal(kernels.to_grey(colours),
          functional.rgb_to_grayscale(pillow(colours), 3))
    for threshold in (0, 1, 128, 255, 256):
        equal(kernels.solarize(colours, threshold),
              ImageOps.solarize(pillow(colours), threshold))


@pytest.mark.parametrize(
    'sigma', [0, 0.05, 0.1, 0.7, 1.41, 1.42, 2, 2.45, 3.3, 9])
@pytest.mark.parametrize('shape', [(24, 30), (1, 5), (7, 2)])
def test_blur_equals_pillow(sigma, shape):
    img = pictures(1, 24, 30)[0, :shape[0], :shape[1]]
    equal(kernels.gaussian_blur(img, sigma),
          pillow(img).filter(ImageFilter.GaussianBlur(sigma)))


def test_squares_end_at_the_border_and_may_be_empty():
    img = pictures(1)[0]
    cut = kernels.fill_squares(
        img, np.array([[2, 3, 5, 7], [28, 20, 99, 99], [4, 9, 4, 12]]),
        np.array([1, 2, 3]))
    covered = np.zeros(img.shape[:2], bool)
    covered[3:7, 2:5] = covered[20:, 28:] = True
    assert (cut[covered] == [1, 2, 3]).all()
    np.testing.assert_array_equal(cut[~covered], img[~covered])


def test_nothing_is_written_to():
    img = pictures(1)[0]
    img.flags.writeable = False
    kernels.jitter(img, range(4), [1.2, 0.8, 1.3, 20])
    kernels.to_grey(img)
    kernels.gaussian_blur(img, 1.3)
    kernels.solarize(img, 99)
    kernels.fill_squares(img, np.array([[0, 0, 5, 5]]), np.zeros(3))
