# Copyright (c) mmloc contributors. All rights reserved.
"""The copy-paste sampling against the published implementation."""
import numpy as np
import pytest

from mmloc.datasets.transforms import PasteInstance

from .golden import load_case

NUM_DRAWS = 8000


@pytest.fixture(scope='module')
def golden():
    return load_case('insloc_copy_paste')


@pytest.fixture(scope='module')
def paste(golden):
    case, _ = golden
    low, high = case['fore_scale']
    return PasteInstance(
        canvas=(case['base_scale'], case['base_scale']),
        width_range=(low, high - 1),
        crop_ratio_range=case['area_scale'],
        aspect_ratio_range=case['ratio'])


def draw(paste: PasteInstance, width: int, height: int) -> dict:
    """Draws of the quantities that the reference's statistics name.

    ``transform`` would spend the time on pixels, so this calls the draws
    which it is made of, in its order.
    """
    side = paste.canvas[0]
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


def check_statistics(draws: dict, run: dict, num_reference: int) -> None:
    assert set(draws) <= set(run['statistics'])
    for name, values in draws.items():
        expected = run['statistics'][name]
        # Five standard errors, since about 60 values are compared.
        error = expected['std'] * np.sqrt(1 / NUM_DRAWS + 1 / num_reference)
        assert abs(values.mean() - expected['mean']) < 5 * error, name
        assert abs(values.std() - expected['std']) < 5 * error, name


def check_quantiles(draws: dict, arrays: dict, prefix: str) -> None:
    """Kolmogorov-Smirnov distance to the percentiles of the reference."""
    for name in ('crop_area_ratio', 'crop_aspect_w_over_h', 'pasted_width',
                 'pasted_height', 'left', 'top', 'box_area_ratio'):
        quantiles = arrays[f'{prefix}_{name}']
        below = np.searchsorted(np.sort(draws[name]), quantiles, 'left')
        upto = np.searchsorted(np.sort(draws[name]), quantiles, 'right')
        percent = np.linspace(0, 1, len(quantiles))
        # Quantities are discrete, so a percentile stands for an interval.
        distance = np.maximum(below / NUM_DRAWS - percent,
                              percent - upto / NUM_DRAWS).max()
        assert distance < 0.01 + 2 / np.sqrt(NUM_DRAWS), name


def test_draws(golden, paste):
    case, arrays = golden
    np.random.seed(1)
    for run in case['runs']:
        width, height = run['image_width'], run['image_height']
        draws = draw(paste, width, height)
        check_statistics(draws, run, case['n_draws'])
        check_quantiles(draws, arrays, f'quantiles_{width}x{height}')
        # The paste stays clear of the right and the bottom border.
        farthest = max(draws['right'].max(), draws['bottom'].max())
        assert farthest == case['base_scale'] - 1


def test_rescaling(golden, paste):
    _, arrays = golden
    for row in arrays['rescale_table']:
        crop_w, crop_h, target_w, target_h, width, height = map(int, row)
        assert paste.patch_size((crop_w, crop_h),
                                (target_w, target_h)) == (width, height)
