# Copyright (c) mmloc contributors. All rights reserved.
"""Data whose random draws depend on their place in the training alone."""
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch.utils.data import BatchSampler, Sampler

from mmloc.registry import DATA_SAMPLERS


def sow(seed: int, *place: int) -> None:
    """Seed the CPU generators of Python, numpy and torch.

    Args:
        seed (int): Seed of the run.
        *place (int): Where in the run, each 0 or more. Neighbouring places
            give unrelated numbers.
    """
    state = np.random.SeedSequence(seed % 2**64, spawn_key=place)
    first, second, third = state.generate_state(3).tolist()
    random.seed(first)
    np.random.seed(second)
    # torch.manual_seed would also reach for a GPU, which workers must not.
    torch.default_generator.manual_seed(third)


class SownBatch:
    """Indices of a batch; taking one seeds the generators for its sample.

    The data loader takes an index right before it fetches the sample, in a
    worker or, without workers, in the main process. The draws of a sample
    thus depend on nothing that was drawn before.

    Args:
        indices (Sequence[int]): Of the samples.
        seed (int): Seed of the data.
        epoch (int): The epoch.
        places (Sequence[int]): Of the samples in the epoch, over all ranks.
    """

    def __init__(self, indices: Sequence[int], seed: int, epoch: int,
                 places: Sequence[int]) -> None:
        self.indices = indices
        self.seed = seed
        self.epoch = epoch
        self.places = places

    def __iter__(self) -> Iterator[int]:
        for index, place in zip(self.indices, self.places, strict=True):
            sow(self.seed, self.epoch, place)
            yield index

    def __len__(self) -> int:
        return len(self.indices)


@DATA_SAMPLERS.register_module()
class ReproducibleBatchSampler:
    """Batches that can begin anywhere and whose samples have own seeds.

    Each sample is drawn with a seed made of the seed of the data, the epoch
    and the place of the sample in it. Neither the number of workers nor of
    processes, nor what they have loaded ahead, nor a stop of the training
    changes a sample. The loops of mmloc put it around the batch sampler of
    a config by themselves.

    Args:
        sampler (Sampler): Gives the indices of this rank.
        batch_size (int): Samples of a batch.
        batch_sampler (dict, optional): Config of the batch sampler. Defaults
            to None, for torch's.
        drop_last (bool): Whether torch's leaves an incomplete last batch
            out. Defaults to False.
        seed (int): Seed of the data if the sampler has none.

    Attributes:
        epoch (int): The epoch, see :meth:`seek`.
    """

    def __init__(self,
                 sampler: Sampler,
                 batch_size: int,
                 batch_sampler: dict | None = None,
                 drop_last: bool = False,
                 seed: int = 0) -> None:
        if batch_sampler is None:
            self.batches = BatchSampler(sampler, batch_size, drop_last)
        else:
            self.batches = DATA_SAMPLERS.build(
                batch_sampler,
                default_args=dict(sampler=sampler, batch_size=batch_size))
        self.sampler = sampler
        self.batch_size = batch_size
        self._seed = seed
        self.epoch = 0
        self._first = 0
        self._rank, self._world_size = get_dist_info()

    @property
    def seed(self) -> int:
        """int: Seed of the order and of the samples' draws, on all ranks
        the same."""
        return getattr(self.sampler, 'seed', self._seed)

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed = seed
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed

    def seek(self, epoch: int, first: int = 0) -> None:
        """Choose what the next pass over the batches gives.

        Args:
            epoch (int): The epoch.
            first (int): Number of its batches to leave out, in the next pass
                only. Defaults to 0.
        """
        self.epoch = epoch
        self._first = first
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[SownBatch]:
        first, self._first = self._first, 0
        epoch, place = self.epoch, self._rank
        for number, indices in enumerate(self.batches):
            after = place + len(indices) * self._world_size
            if number >= first:
                yield SownBatch(indices, self.seed, epoch,
                                range(place, after, self._world_size))
            place = after

    def __len__(self) -> int:
        return len(self.batches)
