# Copyright (c) mmloc contributors. All rights reserved.
"""In one process; tests/test_distributed has the other tests."""
import torch

from mmloc.models import SampleShuffle


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
