# Copyright (c) mmloc contributors. All rights reserved.
"""The copy-paste sampling against the published implementation."""
import numpy as np
import pytest

from mmloc.datasets.transforms import PasteInstance

from .golden import load_case

CASE, ARRAYS = load_case('insloc_copy_paste')
NUM_DRAWS = 8000


def make_paste() -> PasteInstance:
    low, high = CASE['fore_scale']
    return PasteInstance(
        canvas=(CASE['base_scale'], CASE['base_scale']),
        width_range=(low, high - 1),
        crop_ratio_range=CASE['area_scale'],
        aspect_ratio_range=CASE['ratio'])


def draw(width: int, height: int) -> dict:
    """Draws of the quantities that the reference's statistics name.

    ``transform`` would spend the time on pixels, so this calls the draws
    which it is made of, in its order.
    """
    paste = make_paste()
    side = CASE['base_scale']
    foreground = np.empty((height, width, 0), np.uint8)
    rows = []
    for _ in range(NUM_DRAWS):
        top, left, crop_h, crop_w = paste.crop.rand_crop_params(foreground)
        target = paste._rand_target()
        w, h = paste.patch_size((crop_w, crop_h), target)
        x, y = paste._rand_position((w, h))
        rows.append(
            dict(
                crop_area_ratio=crop_h * crop_w / (height * width),
                crop_aspect_w_over_h=crop_w / crop_h,
                crop_width=crop_w,
                crop_height=crop_h,
                crop_left=left,
                crop_top=top,
                target_w=target[0],
                target_h=target[1],
                pasted_width=w,
                pasted_height=h,
                left=x,
                top=y,
                right=x + w,
                bottom=y + h,
                box_area_ratio=w * h / side**2,
                box_aspect_w_over_h=w / h))
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


@pytest.mark.parametrize('run', CASE['runs'])
def test_statistics(run):
    np.random.seed(1)
    draws = draw(run['image_width'], run['image_height'])
    assert set(draws) <= set(run['statistics'])
    for name, values in draws.items():
        expected = run['statistics'][name]
        # Five standard errors, since about 60 values are compared.
        error = expected['std'] * np.sqrt(1 / NUM_DRAWS + 1 / CASE['n_draws'])
        assert abs(values.mean() - expected['mean']) < 5 * error, name
        assert abs(values.std() - expected['std']) < 5 * error, name
    # The paste stays clear of the right and the bottom border.
    farthest = max(draws['right'].max(), draws['bottom'].max())
    assert farthest == CASE['base_scale'] - 1


@pytest.mark.parametrize('run', CASE['runs'])
def test_quantiles(run):
    """Kolmogorov-Smirnov distance to the percentiles of the reference."""
    width, height = run['image_width'], run['image_height']
    np.random.seed(2)
    draws = draw(width, height)
    for name in ('crop_area_ratio', 'crop_aspect_w_over_h', 'pasted_width',
                 'pasted_height', 'left', 'top', 'box_area_ratio'):
        quantiles = ARRAYS[f'quantiles_{width}x{height}_{name}']
        below = np.searchsorted(np.sort(draws[name]), quantiles, 'left')
        upto = np.searchsorted(np.sort(draws[name]), quantiles, 'right')
        percent = np.arange(101) / 100
        # Quantities are discrete, so a percentile stands for an interval.
        distance = np.maximum(below / NUM_DRAWS - percent,
                              percent - upto / NUM_DRAWS).max()
        assert distance < 0.01 + 2 / np.sqrt(NUM_DRAWS), name


def test_rescaling():
    paste = make_paste()
    for row in ARRAYS['rescale_table']:
        crop_w, crop_h, target_w, target_h, width, height = map(int, row)
        assert paste.patch_size((crop_w, crop_h),
                                (target_w, target_h)) == (width, height)
