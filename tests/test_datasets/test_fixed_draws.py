# Copyright (c) mmloc contributors. All rights reserved.
import random

import numpy as np
import torch

from mmloc.datasets import FixedDrawsDataset


class Drawing:
    """Samples of three random numbers, one of each generator."""
    metainfo = dict(classes=('a', ))

    def full_init(self):
        self.ready = True

    def get_data_info(self, idx):
        return dict(idx=idx)

    def __len__(self):
        return 3

    def __getitem__(self, idx):
        return random.random(), np.random.rand(), torch.rand(1).item()


def test_a_sample_depends_on_seed_and_index_alone():
    dataset = FixedDrawsDataset(Drawing(), seed=1)
    samples = [dataset[idx] for idx in range(3)]
    assert len(set(samples)) == 3
    np.random.seed(7)
    assert [dataset[idx] for idx in (2, 1, 0)] == samples[::-1]
    assert FixedDrawsDataset(Drawing(), seed=2)[0] != samples[0]


def test_others_draw_as_if_nothing_had_been_drawn():
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = Drawing()[0]
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    FixedDrawsDataset(Drawing())[1]
    assert Drawing()[0] == expected


def test_the_rest_is_that_of_the_dataset():
    dataset = FixedDrawsDataset(Drawing())
    dataset.full_init()
    assert dataset.dataset.ready
    assert len(dataset) == 3
    assert dataset.metainfo == dict(classes=('a', ))
    assert dataset.get_data_info(2) == dict(idx=2)
