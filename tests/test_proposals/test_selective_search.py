# Copyright (c) mmloc contributors. All rights reserved.
import subprocess
import sys

import numpy as np
import pytest
from skimage.color import rgb2hsv
from skimage.feature import local_binary_pattern

from mmloc.proposals import check_parameters, selective_search
from mmloc.proposals.grouping import group_regions
from mmloc.proposals.regions import describe_regions
from mmloc.utils.compiled import compiled

from .test_felzenszwalb import photo


def halves(*colours, height=40, width=60):
    """An image of vertical stripes, and where they end."""
    img = np.zeros((height, width, 3), np.uint8)
    for i, colour in enumerate(colours):
        img[:, i * width // len(colours):] = colour
    return img


@pytest.mark.filterwarnings('ignore:Applying')
def test_histograms_are_those_of_the_libraries():
    rng = np.random.default_rng(0)
    img = photo(rng, 50, 70)
    img[10:20] = img[10:20] // 64 * 64  # equal neighbours
    labels = np.repeat(np.arange(5), 10)[:, None].repeat(70, 1)
    boxes, sizes, histograms = describe_regions(img, labels.astype(np.int32))
    value = rgb2hsv(img.astype(np.float64))[..., 2]
    texture = [local_binary_pattern(img[..., i].astype(np.float64), 8, 1.)
               for i in range(3)]
    for i in range(5):
        expected = [np.histogram(value[labels == i], 25, (0., 255.))[0]]
        expected += [np.histogram(one[labels == i], 10, (0., 255.))[0]
                     for one in texture]
        np.testing.assert_array_equal(histograms[i],
                                      np.concatenate(expected) / 700)
        assert boxes[i].tolist() == [0, 10 * i, 69, 10 * i + 9]
    assert sizes.tolist() == [700] * 5


def test_boxes_side_by_side_are_not_merged():
    """No corner is inside of the other: published behaviour."""
    assert selective_search(halves((250, 0, 0), (0, 0, 250))).tolist() == [
        [0, 0, 29, 39], [30, 0, 59, 39]]


def test_region_within_another_is_merged():
    img = halves((250, 250, 250))
    img[10:30, 20:40] = 0
    boxes = selective_search(img)
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[0, 0, 59, 39], [19, 9, 40, 30],
                              [0, 0, 59, 39]]


def test_the_last_of_equally_similar_pairs_is_merged_first():
    boxes = np.int32([[10, 10, 50, 50], [0, 20, 20, 40], [40, 20, 60, 40]])
    merged, sizes = group_regions(
        boxes, np.int64([900, 90, 90]), np.full((3, 55), 0.1), 6000)
    assert merged[3:].tolist() == [[10, 10, 60, 50], [0, 10, 60, 50]]
    assert sizes.tolist() == [900, 90, 90, 990, 1080]


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1), (1, 700), (2, 2)])
def test_tiny_images(shape):
    img = np.random.default_rng(0).integers(
        0, 256, (*shape, 3), dtype=np.uint8)
    boxes = selective_search(img)
    assert len(boxes) >= 1
    assert boxes.min() >= 0
    assert boxes.max() == max(shape) - 1


def test_other_memory_layouts_change_nothing():
    img = photo(np.random.default_rng(0), 60, 80)
    expected = selective_search(img)
    bgr = np.ascontiguousarray(img[..., ::-1])
    for same in (bgr[..., ::-1], np.asfortranarray(img),
                 np.pad(img, ((3, 3), (5, 5), (0, 0)))[3:-3, 5:-5]):
        np.testing.assert_array_equal(selective_search(same), expected)
    img.flags.writeable = False
    np.testing.assert_array_equal(selective_search(img), expected)


def test_max_side_scales_the_boxes_back():
    img = photo(np.random.default_rng(0), 80, 120)
    same = selective_search(img, max_side=120)
    np.testing.assert_array_equal(same, selective_search(img))
    large = np.kron(img, np.ones((2, 2, 1), np.uint8))
    np.testing.assert_array_equal(
        selective_search(large, max_side=120), 2 * same)
    long = np.zeros((3000, 2, 3), np.uint8)
    assert selective_search(long, max_side=100)[0].tolist() == [0, 0, 0, 2970]


@pytest.mark.parametrize(('img', 'error', 'said'), [
    ([[1, 2]], TypeError, 'type list'),
    (np.zeros((9, 9, 3)), TypeError, 'float64'),
    (np.zeros((9, 9, 3), np.uint16), TypeError, 'uint16'),
    (np.zeros((9, 9), np.uint8), ValueError, r'\(9, 9\)'),
    (np.zeros((9, 9, 4), np.uint8), ValueError, r'\(9, 9, 4\)'),
    (np.zeros((0, 9, 3), np.uint8), ValueError, r'\(0, 9, 3\)'),
])
def test_images_that_are_refused(img, error, said):
    with pytest.raises(error, match=f'{said}, expected'):
        selective_search(img)


@pytest.mark.parametrize('wrong', [
    dict(scale=0), dict(scale=float('nan')), dict(scale=float('inf')),
    dict(scale='300'), dict(sigma=-1), dict(min_size=-1), dict(min_size=20.5),
    dict(max_side=0), dict(max_side=99.5), dict(max_side='500')])
def test_parameters_that_are_refused(wrong):
    name, value = next(iter(wrong.items()))
    settings = dict(scale=300, sigma=0.9, min_size=100, max_side=None)
    assert check_parameters(np.float64(300), 0.9, 100.0, None) == settings
    with pytest.raises(ValueError, match=f'{name} is {value!r}, expected'):
        check_parameters(**{**settings, **wrong})


def test_runs_where_nothing_can_be_kept():
    """numba finds no folder for code that comes from no file."""
    found = {}
    exec('def double(x): return 2 * x', found)
    with pytest.warns(UserWarning, match='NUMBA_CACHE_DIR'):
        double = compiled(found['double'])
    assert double(4) == 8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_memory_of_12_megapixels():
    program = """
from pathlib import Path
import numpy as np
from mmloc.proposals import selective_search

def memory(name):
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines
                if line.startswith(name))

selective_search(np.zeros((64, 64, 3), np.uint8))
before = memory('VmRSS')
img = np.random.default_rng(0).integers(0, 9, (3000, 4000, 3), np.uint8)
img[:, ::4] += 200  # edges of few lengths where the noise is left out
img[:1500] //= 10
assert len(selective_search(img)) > 1000
print(memory('VmHWM') - before)
"""
    done = subprocess.run([sys.executable, '-c', program],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 36 < float(done.stdout) < 300
