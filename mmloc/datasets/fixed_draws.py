# Copyright (c) mmloc contributors. All rights reserved.
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import BaseDataset

from mmloc.registry import DATASETS

from .samplers.reproducible import sow


@contextmanager
def _own_draws(seed: int, idx: int) -> Iterator[None]:
    """Draw from a seed of one's own, and go on as if nothing were drawn."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    sow(seed, idx)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@DATASETS.register_module()
class FixedDrawsDataset:
    """Give a dataset with random transforms the same samples every time.

    Evaluation that draws something must draw the same for every network:
    the draws of a sample depend on the seed and its index alone, not on
    workers, processes, order or the seed of the run.

    Args:
        dataset (dict or BaseDataset): The dataset or its config.
        seed (int): Seed of the draws. Defaults to 0.
        lazy_init (bool): Whether to put off reading the source.
            Defaults to False.
    """

    def __init__(self,
                 dataset: dict | BaseDataset,
                 seed: int = 0,
                 lazy_init: bool = False) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dict(dataset, lazy_init=lazy_init))
        self.dataset = dataset
        self.seed = seed

    @property
    def metainfo(self) -> dict:
        """dict: The dataset's meta information."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the source of the dataset."""
        self.dataset.full_init()

    def get_data_info(self, idx: int) -> dict:
        """Get the dataset's information on a sample.

        Args:
            idx (int): Index of the sample.

        Returns:
            dict: ``img_path``, ``img_id`` and the like.
        """
        return self.dataset.get_data_info(idx)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> dict:
        with _own_draws(self.seed, idx):
            return self.dataset[idx]
