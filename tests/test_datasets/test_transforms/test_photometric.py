# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
from mmcv.transforms import Compose, RandomApply
from mmpretrain.datasets import ColorJitter as MMPretrainColorJitter
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import functional

from mmloc import photometric
from mmloc.datasets.transforms import (
    ColorJitter,
    DeferPhotometric,
    GaussianBlur,
    RandomGrayscale,
    Solarize,
)


def picture():
    return np.random.RandomState(0).randint(0, 256, (16, 20, 3), np.uint8)


def test_equals_torchvision_on_rgb():
    jitter = ColorJitter(
        brightness=(1.3, 1.3),
        contrast=(0.7, 0.7),
        saturation=(1.4, 1.4),
        hue=(-0.1, -0.1))
    for seed in range(5):
        np.random.seed(seed)
        order = np.random.permutation(4)
        expected = Image.fromarray(picture())
        steps = [(functional.adjust_brightness, 1.3),
                 (functional.adjust_contrast, 0.7),
                 (functional.adjust_saturation, 1.4),
                 (functional.adjust_hue, -0.1)]
        for index in order:
            function, factor = steps[index]
            expected = function(expected, factor)
        np.random.seed(seed)
        img = picture()[..., ::-1].copy()
        ours = jitter(dict(img=img))['img']
        np.testing.assert_array_equal(ours[..., ::-1], np.asarray(expected))
        # The input is not written to.
        np.testing.assert_array_equal(img[..., ::-1], picture())


def test_parts_left_out():
    jitter = ColorJitter(brightness=0, contrast=0, saturation=0, hue=0)
    img = picture()
    np.testing.assert_array_equal(jitter(dict(img=img))['img'], img)


@pytest.mark.parametrize('settings', [
    (0.4, 0.4, 0.2, 0.1), (0, (0.5, 1.2), 0, 0.5)])
def test_jitter_draws_what_mmcv_and_mmpretrain_draw(settings):
    upstream = MMPretrainColorJitter(*settings)
    ours = ColorJitter(*settings, prob=0.6)
    applied = 0
    for seed in range(40):
        np.random.seed(seed)
        expected = RandomApply([lambda _: upstream._rand_params()], 0.6)({})
        state = np.random.rand()
        np.random.seed(seed)
        if expected:
            order, *factors = expected
            assert ours._rand_change()
            drawn_order, *drawn = ours._rand_params()
            assert drawn_order == order.tolist()
            assert drawn == factors
        else:
            assert ours(dict(img=None)) == dict(img=None)
        assert np.random.rand() == state
        applied += bool(expected)
    assert 12 < applied < 36


def test_draws_cover_both_signs_of_the_hue():
    """mmcv 2.1 fails on the negative half with numpy 2."""
    np.random.seed(0)
    jitter = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    outputs = [jitter(dict(img=picture()))['img'] for _ in range(20)]
    assert len({out.tobytes() for out in outputs}) == 20


def test_grey_equals_torchvision_on_rgb():
    expected = functional.rgb_to_grayscale(Image.fromarray(picture()), 3)
    img = picture()[..., ::-1].copy()
    ours = RandomGrayscale(prob=1.)(dict(img=img))['img']
    np.testing.assert_array_equal(ours[..., ::-1], np.asarray(expected))
    # The input is not written to.
    np.testing.assert_array_equal(img[..., ::-1], picture())


def test_grey_with_its_probability():
    np.random.seed(0)
    grayscale = RandomGrayscale(prob=0.2)
    img = picture()
    grey = [
        not np.array_equal(grayscale(dict(img=img))['img'], img)
        for _ in range(1000)
    ]
    # Five standard deviations.
    assert abs(np.mean(grey) - 0.2) < 0.064


def test_solarisation_and_blur_equal_pillow_on_rgb():
    img, rgb = picture()[..., ::-1].copy(), Image.fromarray(picture())
    for ours, expected in (
        (Solarize(thr=128, prob=1.), ImageOps.solarize(rgb, 128)),
        (GaussianBlur(radius=1.3, prob=1.),
         rgb.filter(ImageFilter.GaussianBlur(1.3)))):
        result = ours(dict(img=img))['img']
        np.testing.assert_array_equal(result[..., ::-1], np.asarray(expected))


def test_rejects_a_probability_above_one():
    with pytest.raises(ValueError, match=r'prob is 2, .* \[0, 1\]'):
        RandomGrayscale(prob=2)
    with pytest.raises(ValueError, match=r'prob is -1, .* \[0, 1\]'):
        ColorJitter(prob=-1)


def test_deferred_transforms_draw_the_same_and_leave_the_image():
    pipeline = [
        ColorJitter(0.4, 0.4, 0.4, 0.1, prob=0.8),
        RandomGrayscale(prob=0.3),
        GaussianBlur(
            magnitude_range=(0.1, 2.), magnitude_std='inf', prob=0.5),
        Solarize(thr=128, prob=0.3)
    ]
    now = Compose(pipeline)
    later = Compose([DeferPhotometric(), *pipeline])
    changed = 0
    for seed in range(30):
        np.random.seed(seed)
        expected = now(dict(img=picture()))['img']
        state = np.random.rand()
        np.random.seed(seed)
        results = later(dict(img=picture()))
        assert np.random.rand() == state
        np.testing.assert_array_equal(results['img'], picture())
        np.testing.assert_array_equal(
            photometric.apply(picture(), results['photometric']), expected)
        changed += not np.array_equal(expected, picture())
    assert 20 < changed


def test_deferring_can_be_switched_off():
    results = DeferPhotometric(enabled=False)(dict(img=picture()))
    assert list(RandomGrayscale(prob=1.)(results)) == ['img']
