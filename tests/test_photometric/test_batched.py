# Copyright (c) mmloc contributors. All rights reserved.
"""Batches on a device against Pillow's bytes, which the CPU gives."""
import numpy as np
import pytest
import torch

from mmloc.photometric import apply, batched, stack

from .samples import draw, pictures

STAGES = ('jitter', 'grey', 'blur', 'solarize', 'cutout')


def both_ways(images, vectors):
    """What the batch gives and what the CPU gives, (N, H, W, 3)."""
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    shape = images.shape[1:3]
    ours = batched.augment(batch, stack(vectors, shape, [False] * len(images)))
    expected = [apply(*pair) for pair in zip(images, vectors)]
    return ours.permute(0, 2, 3, 1).numpy(), np.stack(expected)


def close(ours, expected):
    """Equal up to values that lie at the edge of a level."""
    difference = np.abs(ours - expected)
    assert difference.mean() < 1e-3
    assert np.quantile(difference, 0.999) == 0
    return difference.max()


@pytest.mark.parametrize('stage', STAGES)
def test_each_operation(stage):
    images = pictures(12)
    rng = np.random.RandomState(1)
    only = dict.fromkeys(STAGES, 0) | {stage: 1}
    vectors = [draw(img, rng, **only) for img in images]
    ours, expected = both_ways(images, vectors)
    assert close(ours, expected) <= 1
    assert np.abs(expected - images.astype(float)).mean() > 1


def test_chain_in_the_order_of_each_image():
    images = pictures(40)
    rng = np.random.RandomState(2)
    vectors = [draw(img, rng, jitter=0.8) for img in images]
    # One level before the solarisation may become two beside the threshold.
    close(*both_ways(images, vectors))
    # Each image has its own changes, whatever its neighbours have.
    order = rng.permutation(40)
    np.testing.assert_array_equal(
        both_ways(images[order], [vectors[i] for i in order])[0],
        both_ways(images, vectors)[0][order])


def test_all_grey_and_some_blurred():
    """Channels of grey images must not share their memory."""
    images = pictures(2)
    vectors = [draw(img, np.random.RandomState(0), jitter=0, grey=1, blur=blur,
                    solarize=0, cutout=0) for img, blur in zip(images, (1, 0))]
    close(*both_ways(images, vectors))


def test_mixed_precision_changes_nothing():
    """The preprocessor runs within autocast."""
    images = pictures(4)
    rng = np.random.RandomState(0)
    vectors = [draw(img, rng, **dict.fromkeys(STAGES, 1)) for img in images]
    expected, _ = both_ways(images, vectors)
    with torch.autocast('cpu', torch.bfloat16):
        np.testing.assert_array_equal(both_ways(images, vectors)[0], expected)


def test_nothing_waits_for_the_device():
    """Tensors without values fail wherever the host asks for one."""
    images = pictures(6)
    rng = np.random.RandomState(0)
    vectors = [draw(img, rng, **dict.fromkeys(STAGES, 0.7)) for img in images]
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).to('meta')
    out = batched.augment(batch, stack(vectors, (24, 30), [False] * 6))
    assert out.is_meta
    assert out.shape == (6, 3, 24, 30)


def test_the_input_stays():
    images = pictures(4)
    batch = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
    rng = np.random.RandomState(0)
    vectors = [draw(img, rng, **dict.fromkeys(STAGES, 1)) for img in images]
    batched.augment(batch, stack(vectors, (24, 30), [False] * 4))
    np.testing.assert_array_equal(batch.permute(0, 2, 3, 1), images)
