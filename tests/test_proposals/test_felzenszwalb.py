# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
from skimage import segmentation, util

from mmloc.proposals import edges
from mmloc.proposals import felzenszwalb as module
from mmloc.proposals.felzenszwalb import felzenszwalb

SETTINGS = ((300, 0.9, 100), (50, 0.5, 20), (1, 0, 5), (300, 2.3, 0))


def published(img, scale, sigma, min_size):
    return segmentation.felzenszwalb(
        util.img_as_float(img), scale, sigma, min_size)


def photo(rng, height, width):
    """Smooth shading, shapes and noise."""
    y, x = np.mgrid[:height, :width]
    img = np.stack([x, y, x + y], -1) * 100. / (height + width)
    for _ in range(8):
        inside = (x - rng.integers(width))**2 + (
            y - rng.integers(height))**2 < rng.integers(4, 900)
        img[inside] = rng.integers(0, 256, 3)
    return np.clip(img + rng.normal(0, 6, img.shape), 0, 255).astype(np.uint8)


def images(rng, height, width):
    """Images in which many edges are equally long, and others."""
    shape = (height, width, 3)
    y, x = np.mgrid[:height, :width]
    yield photo(rng, height, width)
    yield photo(rng, height, width) // 32 * 32
    yield photo(rng, height, width) // 128 * 128
    yield rng.integers(0, 256, shape, dtype=np.uint8)
    yield rng.integers(0, 2, shape, dtype=np.uint8) * 255
    yield np.full(shape, rng.integers(256), np.uint8)
    yield np.stack([x * 3, y * 3, x + y], -1).astype(np.uint8)
    yield np.stack([(x // 7 + y // 5) % 2 * 200] * 3, -1).astype(np.uint8)


@pytest.mark.parametrize('settings', SETTINGS)
def test_labels_are_published(settings):
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (2, 90),
                          (41, 60), (83, 70)):
        for img in images(rng, height, width):
            np.testing.assert_array_equal(
                felzenszwalb(img, *settings), published(img, *settings))


def test_ties_are_settled_as_published(monkeypatch):
    """Ours are in the order of pixels, and that makes a difference."""
    img = next(img for i, img in enumerate(
        images(np.random.default_rng(0), 83, 70)) if i == 7)
    settings = (300, 0.9, 200)
    expected = published(img, *settings)
    np.testing.assert_array_equal(felzenszwalb(img, *settings), expected)
    monkeypatch.setattr(module, 'EXACT_TIES', 0)
    ours = felzenszwalb(img, *settings)
    assert (ours != expected).any()
    np.testing.assert_array_equal(felzenszwalb(img, *settings), ours)


def test_strips_and_ranges_change_nothing(monkeypatch):
    img = photo(np.random.default_rng(0), 150, 120)
    expected = published(img, *SETTINGS[0])
    monkeypatch.setattr(edges, '_STRIP', 1000)
    monkeypatch.setattr(edges, '_ROOM', 3000)
    monkeypatch.setattr(edges, '_LEAST_ROOM', 0)
    ranges = []
    collect = edges._sorted

    def spy(*args):
        ranges.append(len(args[0]))
        return collect(*args)

    monkeypatch.setattr(edges, '_sorted', spy)
    np.testing.assert_array_equal(felzenszwalb(img, *SETTINGS[0]), expected)
    assert len(ranges) > 10
    assert max(ranges) < 4000


@pytest.mark.parametrize('index', range(8))
@pytest.mark.parametrize('room', [7, 500])
def test_more_edges_than_room(monkeypatch, index, room):
    """Even if most are equally long, and no sample tells their lengths."""
    img = list(images(np.random.default_rng(0), 30, 40))[index]
    monkeypatch.setattr(edges, '_ROOM', room)
    monkeypatch.setattr(edges, '_LEAST_ROOM', 0)
    monkeypatch.setattr(edges.Edges, 'sample', lambda *_: ([], 0.))
    np.testing.assert_array_equal(
        felzenszwalb(img, *SETTINGS[0]), published(img, *SETTINGS[0]))
