# Copyright (c) mmloc contributors. All rights reserved.
"""Batches on a device against the bytes that the loader makes."""
import numpy as np
import pytest
import torch

from mmloc.resampling import batched, carry_out

FLIPS = (None, 'horizontal', 'vertical', 'diagonal')


def draw(rng, num, longest):
    """Images and the region of each."""
    images, regions = [], []
    for _ in range(num):
        sides = rng.randint(1, longest, 2)
        ends = np.sort([rng.randint(0, side + 1, 2) for side in sides], 1)
        ends[:, 1] = np.maximum(ends[:, 1], ends[:, 0] + 1)
        ends = np.minimum(ends, sides[:, None])
        ends[:, 0] = np.minimum(ends[:, 0], ends[:, 1] - 1)
        images.append(rng.randint(0, 256, (*sides, 3), np.uint8))
        (top, bottom), (left, right) = ends.tolist()
        regions.append((top, left, bottom - top, right - left))
    return images, regions


def both_ways(images, plans):
    """What the batch gives and what the CPU gives, (N, H, W, 3)."""
    ours = batched.resample(
        [torch.from_numpy(img).permute(2, 0, 1) for img in images], plans)
    assert ours.dtype == torch.uint8
    expected = [carry_out(*pair) for pair in zip(images, plans)]
    return ours.permute(0, 2, 3, 1).numpy(), np.stack(expected)


@pytest.mark.parametrize('chunk', [1, 2**14, 2**25])
@pytest.mark.parametrize('size', [(1, 1), (7, 1), (64, 48), (112, 112)])
def test_equal_bytes(size, chunk, monkeypatch):
    """Smaller, larger, of one row or column, in all directions."""
    monkeypatch.setattr(batched, 'CHUNK', chunk)
    rng = np.random.RandomState(0)
    for _ in range(3):
        images, regions = draw(rng, 9, 200)
        plans = [(*region, *size, FLIPS[i % 4])
                 for i, region in enumerate(regions)]
        np.testing.assert_array_equal(*both_ways(images, plans))


def test_chunks_are_bounded(monkeypatch):
    """Also where heights differ: all rows of a chunk are those of one."""
    rng = np.random.RandomState(0)
    heights = rng.randint(1, 99, 50)
    plans = [(0, 0, height, 9, 5, 7, None) for height in heights]
    monkeypatch.setattr(batched, 'CHUNK', 99 * 7 * 3 * 4)
    chunks = list(batched._chunks(plans))
    assert sorted(i for chunk in chunks for i in chunk) == list(range(50))
    for chunk in chunks:
        rows = max(plans[i][2] for i in chunk)
        assert len(chunk) * rows * 7 * 3 <= batched.CHUNK
    assert len(chunks) < 10


def test_extreme_levels():
    """Whatever the weights add up to, white stays white."""
    rng = np.random.RandomState(0)
    images = [np.full((rng.randint(1, 400), rng.randint(1, 400), 3), 255,
                      np.uint8) for _ in range(20)]
    plans = [(0, 0, *img.shape[:2], 33, 57, None) for img in images]
    ours, expected = both_ways(images, plans)
    np.testing.assert_array_equal(ours, expected)
    assert (ours == 255).all()


def test_images_that_are_made_already():
    """They and others that are still to be cut out, in one batch."""
    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (8, 9, 3), np.uint8) for _ in range(3)]
    plans = [None, (1, 2, 5, 4, 8, 9, 'vertical'), None]
    np.testing.assert_array_equal(*both_ways(images, plans))


def test_memory_layouts():
    """Rows of channels as the loader packs them, and single planes."""
    img = np.random.RandomState(0).randint(0, 256, (20, 30, 3), np.uint8)
    plan = (2, 3, 12, 25, 7, 8, None)
    expected = carry_out(img, plan)
    image = torch.from_numpy(img).permute(2, 0, 1)
    for same in (image, image.contiguous()):
        ours = batched.resample([same], [plan])[0].permute(1, 2, 0)
        np.testing.assert_array_equal(ours, expected)


def test_nothing_waits_for_the_device():
    """Tensors without values fail wherever the host asks for one."""
    images, regions = draw(np.random.RandomState(0), 5, 90)
    images = [torch.from_numpy(img).permute(2, 0, 1).to('meta')
              for img in images]
    plans = [(*region, 24, 30, 'diagonal') for region in regions]
    out = batched.resample(images, plans)
    assert out.is_meta
    assert out.shape == (5, 3, 24, 30)


def test_refuses_floats():
    with pytest.raises(ValueError, match=r'torch.float32, expected .*uint8'):
        batched.resample([torch.zeros(3, 4, 4)], [(0, 0, 4, 4, 2, 2, None)])
