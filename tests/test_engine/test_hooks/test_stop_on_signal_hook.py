# Copyright (c) mmloc contributors. All rights reserved.
import multiprocessing
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochLoop
from torch import nn
from torch.utils.data import Dataset

from mmloc.engine import Runner
from mmloc.engine.checkpoint_files import check_resumable, find_checkpoint
from mmloc.engine.hooks import CheckpointHook, StopOnSignalHook

MAIN = os.getpid()


class Signalling(Dataset):
    """Data that send signals: to the process, and to the worker."""

    def __init__(self, at=None, to='main', number=signal.SIGUSR1):
        self.at, self.to, self.number = at, to, number

    def __len__(self):
        return 8

    def __getitem__(self, idx):
        if idx == self.at:
            os.kill(MAIN if self.to == 'main' else os.getpid(), self.number)
        return dict(x=torch.ones(1))


class Nothing(BaseMetric):
    """A validation that counts its images."""

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return dict(images=sum(results))


class SignalAfter(Hook):
    """Send a signal when nothing but the validation is left of an epoch."""

    priority = 'VERY_LOW'

    def after_train_epoch(self, runner):
        os.kill(MAIN, signal.SIGTERM)


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x, mode='loss'):
        if mode == 'predict':
            return x
        return dict(loss=(self.weight * len(x)).sum())


class OwnLoop(MMEngineEpochLoop):
    """A loop of the user."""


def make(work_dir, dataset=None, accumulate=1, num_workers=0, by_epoch=True,
         save_optimizer=True, train_cfg=None, hooks=(), others=None, **hook):
    make.count += 1
    return Runner(
        Model(), str(work_dir), experiment_name=f'signals_{make.count}',
        train_dataloader=dict(
            batch_size=2, num_workers=num_workers,
            dataset=dataset or Signalling(),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=train_cfg or dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1),
            accumulative_counts=accumulate),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', interval=1, by_epoch=by_epoch,
            save_optimizer=save_optimizer)),
        custom_hooks=[dict(type='mmloc.StopOnSignalHook', **hook), *hooks],
        randomness=dict(seed=0), **others or {})


make.count = 0


def interrupted(work_dir):
    path = work_dir / 'interrupted.pth'
    assert (work_dir / 'last_checkpoint').read_text() == str(path)
    return torch.load(path)


@pytest.mark.parametrize(('number', 'accumulate', 'done'), [
    (signal.SIGUSR1, 1, 2), (signal.SIGTERM, 1, 2), (signal.SIGTERM, 4, 4)])
def test_saves_and_leaves(number, accumulate, done, tmp_path):
    """A signal before the second batch; the fourth ends the epoch."""
    former = [signal.getsignal(x) for x in (signal.SIGUSR1, signal.SIGTERM)]
    runner = make(tmp_path, Signalling(at=2, number=number), accumulate)
    with pytest.raises(SystemExit) as left:
        runner.train()
    assert left.value.code == 85
    assert interrupted(tmp_path)['meta']['iter'] == done
    assert [signal.getsignal(x)
            for x in (signal.SIGUSR1, signal.SIGTERM)] == former
    whole, rest = make(tmp_path / 'whole'), make(tmp_path)
    if accumulate == 1:
        rest.resume(str(tmp_path / 'interrupted.pth'))
        whole.train()
        rest.train()
        assert rest.iter == whole.iter == 8
        assert torch.equal(rest.model.weight, whole.model.weight)


def test_what_has_just_been_saved_is_not_saved_again(tmp_path):
    runner = make(tmp_path, Signalling(at=2), by_epoch=False)
    with pytest.raises(SystemExit):
        runner.train()
    assert sorted(x.name for x in tmp_path.glob('*.pth')) == [
        'iter_1.pth', 'iter_2.pth']
    marked = (tmp_path / 'last_checkpoint').read_text()
    assert marked == str(tmp_path / 'iter_2.pth')


def test_weights_alone_are_no_reason_to_stop_saving(tmp_path):
    """Beside checkpoints without the optimizer, one from which to go on."""
    runner = make(tmp_path, Signalling(at=2), by_epoch=False,
                  save_optimizer=False)
    with pytest.raises(SystemExit):
        runner.train()
    assert 'optimizer' not in torch.load(tmp_path / 'iter_2.pth')
    assert {'optimizer', 'message_hub'} <= set(interrupted(tmp_path))
    check_resumable(str(tmp_path / 'interrupted.pth'))


@pytest.mark.parametrize('by_epoch', [True, False])
def test_no_validation_begins_after_a_signal(by_epoch, tmp_path):
    val = dict(
        val_cfg=dict(), val_evaluator=Evaluator(Nothing()),
        val_dataloader=dict(
            batch_size=2, num_workers=0, dataset=Signalling(),
            sampler=dict(type='DefaultSampler', shuffle=False)))
    runner = make(tmp_path, hooks=[SignalAfter()], others=val)
    saver = next(x for x in runner.hooks if isinstance(x, CheckpointHook))
    saver.interval = 1 if by_epoch else -1
    with pytest.raises(SystemExit) as left:
        runner.train()
    assert left.value.code == 85
    log, = tmp_path.glob('*/*.log')
    assert 'Epoch(val)' not in log.read_text()
    found, _ = find_checkpoint(str(tmp_path))
    assert found == str(tmp_path / (
        'epoch_1.pth' if by_epoch else 'interrupted.pth'))
    rest = make(tmp_path / 'rest', others=val)
    rest.resume(found)
    rest.train()
    assert (rest.iter, rest.epoch) == (8, 2)
    rest.val()  # without a training to be stopped


def test_what_a_loop_of_the_user_repeats_is_said(tmp_path):
    runner = make(tmp_path, Signalling(at=2),
                  train_cfg=dict(type=OwnLoop, max_epochs=2))
    with pytest.raises(SystemExit):
        runner.train()
    log, = tmp_path.glob('*/*.log')
    assert ('begins the data of the epoch anew, because OwnLoop cannot'
            in log.read_text())


def test_signals_and_code_can_be_chosen(tmp_path):
    runner = make(
        tmp_path, Signalling(at=0, number=signal.SIGUSR2),
        signals=['SIGUSR2'], exit_code=99)
    with pytest.raises(SystemExit) as left:
        runner.train()
    assert left.value.code == 99
    with pytest.raises(ValueError, match="'USR1' is not the name of a sig"):
        StopOnSignalHook(signals=['USR1'])
    with pytest.raises(ValueError, match='exit_code is 1, expected 3 to 125'):
        StopOnSignalHook(exit_code=1)


def test_workers_hear_their_parent_only(tmp_path):
    dataset = Signalling(at=5, to='worker', number=signal.SIGTERM)
    runner = make(tmp_path, dataset, num_workers=1)
    runner.train()
    assert runner.iter == 8


class Stuck(Dataset):
    """Data that are never read."""

    def __len__(self):
        return 8

    def __getitem__(self, idx):
        time.sleep(1000)


def test_a_stuck_worker_can_be_ended(tmp_path):
    runner = make(tmp_path, Stuck(), num_workers=1)
    hook = next(x for x in runner.hooks if isinstance(x, StopOnSignalHook))
    hook.before_train(runner)
    batches = iter(runner.train_dataloader)
    worker, = batches._workers
    hook.after_train(runner)
    assert worker.is_alive()
    time.sleep(0.5)  # it is asleep by now
    worker.terminate()
    worker.join(60)
    assert worker.exitcode == 0


class Forking(Nothing):
    """A validation that forks a process and ends it, as a pool does."""

    def compute_metrics(self, results):
        context = multiprocessing.get_context('fork')
        lock = context.Lock()
        with lock:  # what a worker waits for does not run handlers
            for _ in range(4):
                process = context.Process(target=lock.acquire)
                process.start()
                process.terminate()
                process.join(60)
                process.kill()
                assert process.exitcode == -signal.SIGTERM
        return dict(ended=1)


def test_a_forked_evaluation_can_be_ended(tmp_path):
    runner = make(tmp_path, others=dict(
        val_cfg={}, val_dataloader=dict(
            batch_size=4, num_workers=0, dataset=Signalling(),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=Evaluator(Forking())))
    runner.train()
    assert runner.message_hub.get_scalar('val/ended').current() == 1


def test_a_fork_after_trainings_that_raised_can_be_ended():
    """Each leaves its handler, and the next one takes it for the former."""
    runner = SimpleNamespace(train_loop=None, val_loop=None)
    former = signal.getsignal(signal.SIGTERM)
    try:
        first, second = (StopOnSignalHook(('SIGTERM', )) for _ in range(2))
        first.before_train(runner)
        second.before_train(runner)
        second.after_train(runner)
        assert signal.getsignal(signal.SIGTERM) == first._note
        context = multiprocessing.get_context('fork')
        runs = context.Event()
        process = context.Process(target=lambda: runs.set() or time.sleep(60))
        process.start()
        runs.wait()
        process.terminate()
        process.join(30)
        assert process.exitcode == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, former)


def test_a_thread_trains_without_signals(tmp_path):
    runner = make(tmp_path)
    thread = threading.Thread(target=runner.train)
    thread.start()
    thread.join()
    assert runner.iter == 8
    log, = tmp_path.glob('*/*.log')
    assert 'it runs in a thread' in log.read_text()
