# Copyright (c) mmloc contributors. All rights reserved.
"""Shuffling and gathering over real gloo processes."""
import pytest
import torch
from mmengine.dist import all_gather_object, broadcast, get_rank

from mmloc.models import FeatureQueue, SampleShuffle
from mmloc.models.utils.feature_queue import gather_regions

# Rows (regions) of each sample of each rank; some ranks and samples empty.
COUNTS = {
    2: [[1, 0, 2], [3, 1, 0]],
    3: [[0, 0], [1, 2, 0, 1], [4]],
}


def labelled(rank, world_size):
    """Rows [rank, sample, row] of the samples of a rank, and their counts."""
    counts = COUNTS[world_size][rank]
    rows = [[rank, i, j] for i, count in enumerate(counts)
            for j in range(count)]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 3), counts


def check_round_trip(world_size):
    rank = get_rank()
    rows, counts = labelled(rank, world_size)
    num = len(counts)
    images = torch.tensor([[rank, i] for i in range(num)]).float()
    moved = 0
    for _ in range(5):
        shuffle = SampleShuffle(num, rows.device)
        shuffled, ones = shuffle.shuffle(images)
        assert ones == [1] * num
        shuffled_rows, shuffled_counts = shuffle.shuffle(rows, counts)
        # Boxes stay with their images: the sample that a group of rows was
        # made for is the image in the same place.
        for image, group in zip(shuffled,
                                shuffled_rows.split(shuffled_counts)):
            for j, row in enumerate(group):
                assert row.tolist() == [*image.tolist(), j]
        moved += (shuffled[:, 0] != rank).sum().item()
        back, _ = shuffle.unshuffle(shuffled)
        assert torch.equal(back, images)
        back, back_counts = shuffle.unshuffle(shuffled_rows, shuffled_counts)
        assert torch.equal(back, rows)
        assert back_counts == counts
        # Nothing is lost or doubled.
        everywhere = torch.cat(all_gather_object(shuffled)).tolist()
        assert sorted(everywhere) == [[r, i] for r, of_rank in enumerate(
            COUNTS[world_size]) for i in range(len(of_rank))]
    assert sum(all_gather_object(moved)) > 0


def check_simple_form(world_size):
    """The result is that of gathering everything and taking a part."""
    rank = get_rank()
    sizes = [len(counts) for counts in COUNTS[world_size]]
    images = torch.randn(sizes[rank], 3, 4, 4)
    generator = torch.get_rng_state()
    shuffled, _ = SampleShuffle(len(images), images.device).shuffle(images)

    torch.set_rng_state(generator)
    order = torch.randperm(sum(sizes))
    broadcast(order)
    first = sum(sizes[:rank])
    everything = torch.cat(all_gather_object(images))
    assert torch.equal(shuffled,
                       everything[order[first:first + sizes[rank]]])


def check_gather(world_size):
    rows, _ = labelled(get_rank(), world_size)
    expected = torch.cat(
        [labelled(r, world_size)[0] for r in range(world_size)])
    assert torch.equal(gather_regions(rows), expected)
    # The queues of all ranks stay equal, although their seeds differ.
    queue = FeatureQueue(num_levels=1, channels=3, length=5)
    queue.features.fill_(-1)
    queue.enqueue(rows[:, None])
    assert queue.pointer.item() == len(expected) % 5
    queues = all_gather_object(queue.features)
    assert all(torch.equal(queue.features, other) for other in queues)


@pytest.mark.parametrize('world_size', [2, 3])
@pytest.mark.parametrize(
    'check', [check_round_trip, check_simple_form, check_gather])
def test_shuffle_and_gather(check, world_size, in_processes):
    in_processes(world_size, check, world_size)
