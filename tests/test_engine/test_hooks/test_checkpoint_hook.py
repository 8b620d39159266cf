# Copyright (c) mmloc contributors. All rights reserved.
import errno
import os
import resource
from contextlib import contextmanager

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import Dataset

from mmloc.engine import Runner
from mmloc.engine.checkpoint_files import CheckpointWriteError, find_checkpoint
from mmloc.engine.hooks import CheckpointHook


class Numbers(Dataset):

    def __len__(self):
        return 2

    def __getitem__(self, idx):
        return dict(x=torch.ones(1))


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(20000))

    def forward(self, x, mode='loss'):
        return dict(loss=(self.weight.sum() - 1)**2)


class At(Hook):
    """Do something before some epochs."""

    priority = 'VERY_HIGH'

    def __init__(self, **actions):
        self.actions = actions

    def before_train_epoch(self, runner):
        self.actions.get(f'epoch_{runner.epoch + 1}', lambda: None)()


@contextmanager
def full_disk():
    """Give actions that let files be no longer than 10 kB, and as long as
    they like again."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))

    try:
        yield lambda: limit(10_000), lambda: limit(former[0])
    finally:
        limit(former[0])


def train(work_dir, epochs=4, resume=False, actions=None, **checkpoint):
    model = Model()
    train.count += 1
    runner = Runner(
        model, str(work_dir), experiment_name=f'checkpoint_{train.count}',
        train_dataloader=dict(
            batch_size=1, num_workers=0, dataset=Numbers(),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), 1e-6)),
        # Without other files that grow.
        default_hooks=dict(
            logger=None, checkpoint=dict(
                type='CheckpointHook', interval=1, **checkpoint)),
        custom_hooks=[At(**actions or {})], log_level='ERROR',
        randomness=dict(seed=0), resume=resume)
    runner.train()
    return runner


train.count = 0


def files(folder):
    return {x.name for x in folder.iterdir()
            if x.is_file() and x.suffix != '.py'}


def test_keeps_what_it_shall(tmp_path):
    runner = train(tmp_path, max_keep_ckpts=2)
    assert any(type(hook) is CheckpointHook for hook in runner.hooks)
    assert files(tmp_path) == {'epoch_3.pth', 'epoch_4.pth', 'last_checkpoint'}
    assert (tmp_path / 'last_checkpoint').read_text() == str(
        tmp_path / 'epoch_4.pth')
    train(tmp_path, 5, resume=True, max_keep_ckpts=2)
    assert files(tmp_path) == {'epoch_4.pth', 'epoch_5.pth', 'last_checkpoint'}


def test_a_full_disk_costs_one_checkpoint_and_nothing_else(tmp_path):
    names = []
    with full_disk() as (fill, free):

        def look():
            free()
            names.extend(files(tmp_path))

        train(tmp_path, actions=dict(epoch_2=fill, epoch_3=look),
              max_keep_ckpts=1)
    # After the failed save of epoch 2 the one before was there, and whole.
    assert set(names) == {'epoch_1.pth', 'last_checkpoint'}
    assert files(tmp_path) == {'epoch_4.pth', 'last_checkpoint'}
    whole = train(tmp_path / 'whole', max_keep_ckpts=1).model.weight
    assert torch.equal(
        torch.load(tmp_path / 'epoch_4.pth')['state_dict']['weight'], whole)


@pytest.mark.parametrize(('begin', 'kept'), [(2, 1), (4, 3)])
def test_a_disk_that_stays_full_stops_the_training(begin, kept, tmp_path):
    with full_disk() as (fill, _):
        with pytest.raises(CheckpointWriteError, match=(
                r"epoch_4\.pth' cannot be written \(File too large\); make "
                'room or check the disk, the files before it are kept')):
            train(tmp_path, 7 if begin == 2 else 4,
                  actions={f'epoch_{begin}': fill}, max_keep_ckpts=1)
    found, notes = find_checkpoint(str(tmp_path))
    assert (found, notes) == (str(tmp_path / f'epoch_{kept}.pth'), [])
    assert files(tmp_path) == {f'epoch_{kept}.pth', 'last_checkpoint'}


def test_the_best_one_is_removed_after_the_better_is_saved(tmp_path):
    runner = train(tmp_path, 1, save_best='acc', rule='greater')
    hook = next(x for x in runner.hooks if isinstance(x, CheckpointHook))
    hook.after_val_epoch(runner, dict(acc=0.5))
    best = {'best_acc_epoch_1.pth'}
    assert best < files(tmp_path)
    with full_disk() as (fill, _):
        fill()
        runner.train_loop._iter, runner.train_loop._epoch = 0, 2
        hook.after_val_epoch(runner, dict(acc=0.7))
    assert best < files(tmp_path)
    assert runner.message_hub.get_info('best_score') == 0.5
    hook.after_val_epoch(runner, dict(acc=0.7))
    assert {x for x in files(tmp_path) if x.startswith('best')} == {
        'best_acc_epoch_2.pth'}


def test_the_mark_is_written_last(tmp_path, monkeypatch):
    replaced = []
    replace = os.replace

    def note(source, target):
        replaced.append(target.name)
        if replaced == ['epoch_1.pth', 'last_checkpoint', 'epoch_2.pth',
                        'last_checkpoint']:
            raise OSError(errno.EIO, 'Input/output error')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', note)
    with pytest.raises(CheckpointWriteError, match='last_checkpoint'):
        train(tmp_path, 2, max_keep_ckpts=1)
    assert files(tmp_path) == {'epoch_1.pth', 'epoch_2.pth', 'last_checkpoint'}
    assert find_checkpoint(str(tmp_path))[0] == str(tmp_path / 'epoch_1.pth')


def test_max_failures_is_checked():
    with pytest.raises(ValueError, match='max_failures must be at least 1'):
        CheckpointHook(max_failures=0)
