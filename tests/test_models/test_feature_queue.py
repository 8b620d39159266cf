# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.models import FeatureQueue


def numbered(first: int, count: int, levels: int = 2) -> torch.Tensor:
    """Features whose entries are their own numbers, (count, levels, 3)."""
    values = torch.arange(first, first + count, dtype=torch.float32)
    return values[:, None, None].expand(count, levels, 3)


def test_starts_with_unit_vectors():
    queue = FeatureQueue(num_levels=2, channels=16, length=10)
    torch.testing.assert_close(queue.features.norm(dim=1), torch.ones(2, 10))
    assert queue.pointer.tolist() == [0]
    assert set(queue.state_dict()) == {'features', 'pointer'}


def test_wraps_for_sizes_that_do_not_divide_the_length():
    queue = FeatureQueue(num_levels=2, channels=3, length=5)
    written = 0
    for count in (3, 4, 1, 0, 2):
        queue.enqueue(numbered(written, count))
        written += count
        assert queue.pointer.item() == written % 5
    # Numbers 5 to 9 are the newest; number n lies in column n % 5.
    expected = torch.tensor([5., 6., 7., 8., 9.]).expand(2, 3, 5)
    torch.testing.assert_close(queue.features, expected)


def test_keeps_the_last_of_more_features_than_its_length():
    queue = FeatureQueue(num_levels=1, channels=3, length=4)
    queue.enqueue(numbered(0, 1, levels=1))
    queue.enqueue(numbered(1, 10, levels=1))
    assert queue.pointer.item() == 11 % 4
    torch.testing.assert_close(queue.features[0, 0],
                               torch.tensor([8., 9., 10., 7.]))


def test_levels_stay_apart():
    queue = FeatureQueue(num_levels=2, channels=1, length=2)
    queue.enqueue(torch.tensor([[[1.], [2.]]]))
    assert queue.features[:, 0, 0].tolist() == [1., 2.]


def test_takes_half_precision():
    queue = FeatureQueue(num_levels=1, channels=2, length=3)
    queue.enqueue(torch.ones(1, 1, 2, dtype=torch.bfloat16))
    assert queue.features.dtype == torch.float32


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_passes_over_features_that_are_not_finite(value):
    queue = FeatureQueue(num_levels=2, channels=3, length=5)
    before = queue.features.clone()
    features = numbered(0, 3).clone()
    features[1, 0, 2] = value
    queue.enqueue(features)
    assert queue.pointer.item() == 3
    # Column 1 of level 0 stays; its place is counted all the same.
    assert torch.equal(queue.features[0, :, 1], before[0, :, 1])
    assert queue.features[0, :, [0, 2]].tolist() == [[0, 2]] * 3
    assert queue.features[1, :, :3].tolist() == [[0, 1, 2]] * 3
    assert torch.equal(queue.features[:, :, 3:], before[:, :, 3:])


def test_rejects_an_empty_queue():
    with pytest.raises(ValueError, match='length=0'):
        FeatureQueue(num_levels=1, channels=2, length=0)
