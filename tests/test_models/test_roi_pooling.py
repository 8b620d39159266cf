# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.models.utils import roi_pooling
from mmloc.models.utils.roi_pooling import (
    axis_weights,
    pool_by_kernel,
    pool_by_matmul,
)


def random_boxes(shape: tuple, num: int, generator) -> torch.Tensor:
    """Boxes of all sizes, some of them partly or wholly outside the map."""
    side = torch.tensor(shape[:1:-1])
    corner = torch.rand(shape[0], num, 2, generator=generator) * 1.6 - 0.3
    size = torch.rand(shape[0], num, 2, generator=generator)**2 * 1.5
    boxes = torch.cat([corner * side, (corner + size) * side], dim=-1)
    return boxes.double()


@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
def test_matmul_equals_the_kernel(aligned, sampling_ratio):
    """Results and gradients, in float64 to the rounding error."""
    generator = torch.Generator().manual_seed(0)
    for shape in ((2, 3, 5, 9), (2, 3, 33, 20), (1, 2, 1, 40)):
        feat = torch.randn(shape, generator=generator, dtype=torch.float64)
        feat.requires_grad_()
        sets = [random_boxes(shape, num, generator) for num in (6, 3)]
        sets[0][:, 0] = sets[0][:, 0].round()
        sets[1][:, 0, 2:] = sets[1][:, 0, :2]  # no extent
        kernel, matmul = (
            torch.cat(pool(feat, sets, (7, 5), sampling_ratio, aligned))
            for pool in (pool_by_kernel, pool_by_matmul))
        torch.testing.assert_close(matmul, kernel, rtol=0, atol=1e-13)
        upstream = torch.randn(
            kernel.shape, generator=generator, dtype=torch.float64)
        expected, = torch.autograd.grad(kernel, feat, upstream)
        grad, = torch.autograd.grad(matmul, feat, upstream)
        torch.testing.assert_close(grad, expected, rtol=0, atol=1e-12)


def test_kernel_reads_maps_in_channels_last_order():
    """mmcv's kernel itself takes the numbers for those of another order."""
    generator = torch.Generator().manual_seed(0)
    feat = torch.randn(2, 3, 8, 8, generator=generator)
    boxes = random_boxes(feat.shape, 4, generator).float()
    expected, = pool_by_kernel(feat, [boxes], (7, 7), 0, True)
    ours, = pool_by_kernel(
        feat.to(memory_format=torch.channels_last), [boxes], (7, 7), 0, True)
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def test_sets_do_not_touch_each_other():
    generator = torch.Generator().manual_seed(0)
    feat = torch.randn(2, 3, 8, 8, generator=generator)
    sets = [random_boxes(feat.shape, 4, generator).float() for _ in range(2)]
    both = pool_by_matmul(feat, sets, (7, 7), 0, True)
    alone = [pool_by_matmul(feat, [x], (7, 7), 0, True)[0] for x in sets]
    for ours, expected in zip(both, alone):
        torch.testing.assert_close(ours, expected)


def test_regions_take_turns_if_they_are_too_many(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    feat = torch.randn(2, 3, 8, 9, generator=generator, requires_grad=True)
    sets = [random_boxes(feat.shape, num, generator).float()
            for num in (5, 0, 2)]
    results = []
    for largest in (roi_pooling.LARGEST, 2 * 2 * 3 * 9 * 7):
        monkeypatch.setattr(roi_pooling, 'LARGEST', largest)
        pooled = pool_by_matmul(feat, sets, (7, 5), 0, True)
        grad, = torch.autograd.grad(
            sum(x.square().sum() for x in pooled), feat)
        results.append([*pooled, grad])
    assert [len(x) for x in results[1][:3]] == [10, 0, 4]
    for at_once, in_turns in zip(*results):
        torch.testing.assert_close(in_turns, at_once)


def test_weights_of_a_bin_add_up_to_its_share_inside():
    start, length = torch.tensor([2., -3.5]), torch.tensor([3., 4.])
    weights = axis_weights(start, length, bins=2, size=8)
    # Two samples per bin, those of the first at 2.375 and 3.125; of the other
    # region's first bin both are outside.
    torch.testing.assert_close(
        weights.sum(dim=-1), torch.tensor([[1., 1.], [0., 1.]]))
    torch.testing.assert_close(weights[0, 0, :5],
                               torch.tensor([0., 0., 0.3125, 0.625, 0.0625]))
