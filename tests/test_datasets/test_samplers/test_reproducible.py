# Copyright (c) mmloc contributors. All rights reserved.
import pickle
import random

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mmloc.datasets.samplers import ReproducibleBatchSampler, sow


class Draws(Dataset):
    """What the three generators give for a sample."""

    def __len__(self):
        return 10

    def __getitem__(self, idx):
        return (idx, random.random(), np.random.rand(),
                torch.rand(1).item())


def make(sampler=DefaultSampler, **kwargs):
    return ReproducibleBatchSampler(sampler(Draws(), seed=5), 4, **kwargs)


def load(batches, **kwargs):
    loader = DataLoader(Draws(), batch_sampler=batches, collate_fn=list,
                        **kwargs)
    return list(loader)


def test_draws_depend_on_the_place_alone():
    batches = make()
    np.random.seed(8)
    first = load(batches)
    assert [len(batch) for batch in first] == [4, 4, 2]
    samples = [sample[1:] for batch in first for sample in batch]
    assert len(set(sum(samples, ()))) == 30
    # Whatever was drawn before, and in whichever process.
    np.random.rand(7)
    assert load(batches) == first
    assert load(batches, num_workers=2, prefetch_factor=2) == first


def test_an_epoch_can_begin_anywhere_once():
    batches = make()
    batches.seek(2)
    whole = load(batches)
    batches.seek(2, 1)
    assert load(batches) == whole[1:]
    assert load(batches) == whole
    batches.seek(2, 3)
    assert load(batches) == []
    batches.seek(1)
    other = load(batches)
    assert other != whole
    assert not {x[1] for b in other for x in b} & {
        x[1] for b in whole for x in b}


def test_two_ranks_share_the_draws_of_one():
    one = {sample for batch in load(make()) for sample in batch}
    two = set()
    for rank in range(2):
        batches = make()
        sampler = batches.sampler
        sampler.rank = batches._rank = rank
        sampler.world_size = batches._world_size = 2
        two |= {sample for batch in load(batches) for sample in batch}
    assert two == one


def test_endless_samplers_and_other_batch_samplers():
    batches = make(InfiniteSampler)
    ahead = [list(batch) for batch, _ in zip(batches, range(6))]
    again = make(InfiniteSampler)
    again.seek(0, 4)
    assert [list(batch) for batch, _ in zip(again, range(2))] == ahead[4:]
    dropping = make(batch_sampler=dict(type=BatchSampler, drop_last=True))
    assert len(load(dropping)) == len(dropping) == 2


def test_the_seed_is_that_of_the_order():
    batches = make()
    assert batches.seed == 5
    first = load(batches)
    batches.seed = 6
    assert batches.sampler.seed == 6
    assert [x[0] for x in load(batches)[0]] != [x[0] for x in first[0]]
    unseeded = ReproducibleBatchSampler(range(10), 4, seed=3)
    assert unseeded.seed == 3
    unseeded.seed = 4
    assert unseeded.seed == 4


def test_batches_travel_without_touching_the_generators():
    batch = next(iter(make()))
    sow(1, 2)
    state = np.random.get_state()[1].copy()
    travelled = pickle.loads(pickle.dumps(batch))
    assert (np.random.get_state()[1] == state).all()
    assert list(travelled) == batch.indices


def test_places_give_unrelated_numbers():
    def draw(*place):
        sow(*place)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw(-1, 2) == draw(-1, 2)
    drawn = [draw(seed, *place) for seed in (0, 1)
             for place in ((0, 0), (0, 1), (1, 0), (2**31, 0))]
    assert len(set(sum(drawn, ()))) == 24
