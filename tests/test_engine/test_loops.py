# Copyright (c) mmloc contributors. All rights reserved.
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmloc.engine import EpochBasedTrainLoop, IterBasedTrainLoop, Runner


class Draws(Dataset):
    """12 samples that draw a number each."""

    def __len__(self):
        return 12

    def __getitem__(self, idx):
        return dict(draws=torch.tensor(np.random.rand()))


class Recorder(BaseModel):
    """Note the draws of the data, and own ones."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.noted = []

    def forward(self, draws, mode='loss'):
        self.noted.append((*torch.stack(draws).tolist(), random.random(),
                           np.random.rand(), torch.rand(1).item()))
        return dict(loss=self.weight.sum())


def make(work_dir, train_cfg, sampler='DefaultSampler', seed=3, interval=1,
         by_epoch=False, dataloader=None, **loader):
    model = Recorder()
    make.count += 1
    return Runner(
        model,
        str(work_dir),
        experiment_name=f'loops_{make.count}',
        train_dataloader=dataloader or dict(
            sampler=dict(type=sampler, shuffle=True),
            dataset=Draws(),
            **dict(dict(batch_size=4, num_workers=0), **loader)),
        train_cfg=train_cfg,
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=interval,
                            by_epoch=by_epoch)),
        randomness=dict(seed=seed))


make.count = 0


def train(runner, resume=None):
    """Train.

    Returns:
        list: What the model noted, by iteration.
    """
    if resume is not None:
        runner.resume(str(resume))
    runner.train()
    # Stop persistent workers now, not when the interpreter ends.
    runner.train_loop.dataloader._iterator = None
    return runner.model.noted


EPOCHS = dict(by_epoch=True, max_epochs=3)
ITERS = dict(by_epoch=False, max_iters=9)
WORKERS = dict(num_workers=2, persistent_workers=True)


@pytest.mark.parametrize(('train_cfg', 'sampler', 'loop'), [
    (EPOCHS, 'DefaultSampler', EpochBasedTrainLoop),
    (dict(type='IterBasedTrainLoop', max_iters=9), 'DefaultSampler',
     IterBasedTrainLoop),
    (ITERS, 'InfiniteSampler', IterBasedTrainLoop),
])
def test_goes_on_anywhere(train_cfg, sampler, loop, tmp_path):
    runner = make(tmp_path, train_cfg, sampler)
    assert type(runner.train_loop) is loop
    whole = train(runner)
    assert len(whole) == 9
    assert len(set(sum(whole, ()))) == 9 * 7
    for done, workers in ((1, {}), (3, {}), (4, WORKERS), (9, {})):
        rest = train(make(tmp_path / 'rest', train_cfg, sampler, **workers),
                     tmp_path / f'iter_{done}.pth')
        assert rest == whole[done:]


def test_an_unset_seed_is_that_of_the_checkpoint(tmp_path):
    whole = train(make(tmp_path, EPOCHS, seed=None))
    other = make(tmp_path / 'rest', EPOCHS, seed=None)
    assert train(other, tmp_path / 'iter_4.pth') == whole[4:]


def test_epochs_end_as_they_would_have(tmp_path):
    """Resumed behind its last iteration, an epoch still has its end."""
    train(make(tmp_path, EPOCHS))
    runner = make(tmp_path / 'rest', EPOCHS, by_epoch=True)
    assert len(train(runner, tmp_path / 'iter_6.pth')) == 3
    # That of the second epoch too, in which there was nothing left to do.
    assert {x.name for x in (tmp_path / 'rest').glob('*.pth')} == {
        'epoch_2.pth', 'epoch_3.pth'}


def test_an_epoch_of_another_length_is_refused(tmp_path):
    train(make(tmp_path, EPOCHS))
    wider = make(tmp_path / 'rest', EPOCHS, batch_size=6)
    with pytest.raises(ValueError, match='saved after 1 of 3 iterations of '
                       'an epoch, which now has 2; go on with the same'):
        train(wider, tmp_path / 'iter_4.pth')
    # At the end of an epoch there is nothing to be confused.
    train(make(tmp_path / 'whole', EPOCHS, by_epoch=True))
    wider = make(tmp_path / 'rest', EPOCHS, batch_size=6)
    assert len(train(wider, tmp_path / 'whole' / 'epoch_2.pth')) == 2


def test_a_loader_of_the_user_is_left_alone(tmp_path):
    loader = DataLoader(Draws(), batch_size=4, collate_fn=pseudo_collate)
    runner = make(tmp_path, EPOCHS, dataloader=loader)
    assert runner.train_dataloader is loader
    assert len(train(runner)) == 9
    # It goes on at the begin of the epoch, as mmengine does.
    runner = make(tmp_path / 'rest', EPOCHS, dataloader=loader)
    assert len(train(runner, tmp_path / 'iter_4.pth')) == 6
    train(make(tmp_path / 'ours', EPOCHS))
    runner = make(tmp_path / 'rest', EPOCHS, dataloader=loader)
    with pytest.raises(ValueError, match='the same data, batch size, data '
                       'loader'):
        train(runner, tmp_path / 'ours' / 'iter_4.pth')


def test_iterations_over_other_data_are_told(tmp_path):
    train(make(tmp_path, ITERS))
    same = make(tmp_path / 'same', ITERS)
    wider = make(tmp_path / 'wider', ITERS, batch_size=6)
    for runner, told in ((same, False), (wider, True)):
        assert len(train(runner, tmp_path / 'iter_4.pth')) == 5
        log, = (tmp_path / runner.work_dir).glob('*/*.log')
        assert ('passes of 3 iterations over the data, which now take 2'
                in log.read_text()) == told
