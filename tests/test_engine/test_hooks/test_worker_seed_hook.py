# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import Dataset

from mmloc.engine import Runner


class Draws(Dataset):

    def __len__(self):
        return 8

    def __getitem__(self, idx):
        return dict(draws=torch.tensor(np.random.rand()))


class Recorder(BaseModel):
    """Note the draws of each epoch."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.draws = []

    def forward(self, draws, mode='loss'):
        self.draws += torch.stack(draws).tolist()
        return dict(loss=self.weight.sum())


def train(work_dir, epochs, persistent, resume=False, **loader):
    model = Recorder()
    runner = Runner(
        model,
        str(work_dir),
        experiment_name=f'{work_dir.name}_{resume}',
        train_dataloader=dict(
            batch_size=4,
            num_workers=2,
            persistent_workers=persistent,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=Draws(),
            **loader),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)),
        custom_hooks=[dict(type='mmloc.WorkerSeedHook')],
        randomness=dict(seed=3),
        resume=resume)
    runner.train()
    # Stop persistent workers now, not when the interpreter ends.
    runner.train_loop.dataloader._iterator = None
    return [model.draws[i:i + 8] for i in range(0, len(model.draws), 8)]


@pytest.mark.parametrize('persistent', [False, True])
def test_no_epoch_repeats_another(persistent, tmp_path):
    first, = train(tmp_path, 1, persistent)
    second = train(tmp_path, 2, persistent, resume=True)[0]
    assert not set(first) & set(second)
    together = train(tmp_path / 'together', 2, persistent)
    assert together[0] == first
    assert not set(first) & set(together[1])
    # Workers that start anew in each epoch draw what they would have drawn.
    assert (together[1] == second) is not persistent


def test_leaves_a_function_of_the_user_alone(tmp_path):
    own = dict(type=np.random.seed)
    first, second = train(tmp_path, 2, False, worker_init_fn=own)
    assert first == second
