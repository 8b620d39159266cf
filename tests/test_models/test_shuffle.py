# Copyright (c) mmloc contributors. All rights reserved.
"""Shuffling and gathering over real gloo processes."""
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dist import all_gather_object

from mmloc.models import FeatureQueue, SampleShuffle
from mmloc.models.utils.feature_queue import gather_regions

# Samples per rank, rows (regions) per sample; some ranks and samples empty.
SIZES = {2: [3, 3], 3: [2, 4, 1]}
COUNTS = {2: [[1, 0, 2], [3, 1, 0]], 3: [[0, 0], [1, 2, 0, 1], [4]]}


def run(function, world_size, tmp_path):
    mp.spawn(
        start,
        args=(world_size, str(tmp_path / 'rendezvous'), function),
        nprocs=world_size)


def start(rank, world_size, path, function):
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    torch.distributed.init_process_group(
        'gloo', f'file://{path}', rank=rank, world_size=world_size)
    function(rank, world_size)
    torch.distributed.destroy_process_group()


def labelled(rank, world_size):
    """Rows [rank, sample, row] of the local samples, and their counts."""
    counts = COUNTS[world_size][rank]
    rows = [[rank, i, j] for i, count in enumerate(counts)
            for j in range(count)]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 3), counts


def check_round_trip(rank, world_size):
    rows, counts = labelled(rank, world_size)
    num = SIZES[world_size][rank]
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
        assert sorted(everywhere) == [[r, i] for r, n in enumerate(
            SIZES[world_size]) for i in range(n)]
    assert sum(all_gather_object(moved)) > 0


def check_gather(rank, world_size):
    rows, _ = labelled(rank, world_size)
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
def test_shuffle_and_back(world_size, tmp_path):
    run(check_round_trip, world_size, tmp_path)


@pytest.mark.parametrize('world_size', [2, 3])
def test_gather_regions_of_unequal_ranks(world_size, tmp_path):
    run(check_gather, world_size, tmp_path)


def test_one_process_moves_nothing():
    images = torch.randn(4, 2)
    shuffle = SampleShuffle(4, images.device)
    shuffled, counts = shuffle.shuffle(images, [2, 0, 1, 1])
    assert shuffled is images
    assert counts == [2, 0, 1, 1]


def test_one_process_permutes_within_its_batch():
    torch.manual_seed(0)
    images = torch.arange(8.)[:, None]
    boxes = torch.arange(6.)[:, None]
    counts = [0, 2, 1, 0, 0, 1, 1, 1]
    shuffle = SampleShuffle(8, images.device, within=True)
    shuffled, _ = shuffle.shuffle(images)
    assert not torch.equal(shuffled, images)
    assert torch.equal(shuffle.unshuffle(shuffled)[0], images)
    moved, moved_counts = shuffle.shuffle(boxes, counts)
    assert moved_counts == [counts[int(i)] for i in shuffled]
    back, back_counts = shuffle.unshuffle(moved, moved_counts)
    assert torch.equal(back, boxes)
    assert back_counts == counts
