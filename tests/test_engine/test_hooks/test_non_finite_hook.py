# Copyright (c) mmloc contributors. All rights reserved.
import json
import math
import os
import signal
from datetime import timedelta

import pytest
import torch
import torch.multiprocessing as mp
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

from mmloc.engine import Runner
from mmloc.engine.hooks import NonFiniteHook


class _Model(BaseModel):
    """BatchNorm and a linear layer; notes the state after each forward."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.linear = nn.Linear(3, 1)
        self.root = nn.Parameter(torch.ones(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = self.linear(self.norm(torch.stack(inputs)))
        edge = 0 * self.root.sum()
        if inputs[0][0] == 99:  # the loss is finite, its gradient 0 * inf
            edge = edge + (0 * self.root).sqrt().sum()
        return dict(loss_x=x.square().mean() + edge)


def _data(num=12, **bad):
    """Samples named 0, 1, ...; ``bad`` are first values by name."""
    generator = torch.Generator().manual_seed(0)
    data = []
    for i in range(num):
        x = torch.randn(3, generator=generator)
        if f'_{i}' in bad:
            x[0] = bad[f'_{i}']
        data.append(dict(
            inputs=x, data_samples=DetDataSample(
                metainfo=dict(img_path=f'{i}.jpg'))))
    return data


def _collate(batch):
    return {key: [x[key] for x in batch] for key in batch[0]}


class _Record(NonFiniteHook):
    """Keeps the state after each iteration."""

    def after_train_iter(self, runner, *args, **kwargs):
        super().after_train_iter(runner, *args, **kwargs)
        self.states = [*getattr(self, 'states', ()), {
            name: value.clone()
            for name, value in runner.model.state_dict().items()
            if 'num_batches' not in name
        }]


def _train(tmp_path, data, hook=None, optimizer='AdamW', model=None,
           checkpoint=None, sampler=None, more_hooks=(), **wrapper):
    torch.manual_seed(0)
    model = model or _Model()
    hook = hook or _Record()
    runner = Runner(
        model=model, work_dir=str(tmp_path), experiment_name=tmp_path.name,
        train_dataloader=DataLoader(
            data, batch_size=2, collate_fn=_collate, sampler=sampler),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(dict(type='OptimWrapper', optimizer=dict(
            type=optimizer, lr=0.1, weight_decay=0.1)), **wrapper),
        default_hooks=dict(checkpoint=checkpoint),
        launcher='none' if sampler is None else 'pytorch',
        custom_hooks=[hook, *more_hooks])
    try:
        runner.train()
    finally:
        hook.after_train(runner)
    return hook, runner


def _events(tmp_path):
    files = list(tmp_path.glob('*/non_finite.jsonl'))
    return [
        json.loads(line) for file in files
        for line in file.read_text().splitlines()
    ]


def _same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize('late', [False, True])
@pytest.mark.parametrize('optimizer', ['AdamW', 'mmloc.LARS'])
@pytest.mark.parametrize('value', [math.nan, math.inf, 99])
def test_a_bad_step_leaves_no_trace(tmp_path, value, optimizer, late):
    hook, _ = _train(
        tmp_path, _data(_4=value), hook=_Record(late=late),
        optimizer=optimizer)
    assert [_same(*x) for x in zip(hook.states, hook.states[1:])] == [
        False, True, False, False, False]
    good = [x for i, x in enumerate(_data()) if i not in (4, 5)]
    plain, _ = _train(tmp_path / 'plain', good, optimizer=optimizer)
    # As if the batch had not been there; moments and step counts too.
    assert _same(hook.states[-1], plain.states[-1])
    assert hook.num_skipped == 1
    event, = _events(tmp_path)
    assert (event['iteration'], event['rank']) == (3, 0)
    assert event['images'] == ['4.jpg', '5.jpg']
    assert event['bad_images'] == ([] if value == 99 else ['4.jpg'])
    assert event['loss_finite'] == (value == 99)
    assert event['bad_gradients'][0] == (
        'root' if value == 99 else 'norm.weight')
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'Iteration 3: the ' in log
    assert "'4.jpg'" in log
    assert _events(tmp_path / 'plain') == []


class _Growing(_Model):
    """Its last layer is used from the third forward pass on."""

    def __init__(self):
        super().__init__()
        self.extra = nn.Linear(3, 1)
        self.calls = 0

    def forward(self, inputs, *args, **kwargs):
        self.calls += 1
        losses = super().forward(inputs, *args, **kwargs)
        if self.calls > 2:
            losses['loss_y'] = self.extra(torch.stack(inputs)).square().mean()
        return losses


@pytest.mark.parametrize('optimizer', ['AdamW', 'mmloc.LARS'])
def test_a_bad_step_that_would_make_moments(tmp_path, optimizer):
    hook, _ = _train(
        tmp_path, _data(_4=math.nan), hook=_Record(late=True),
        optimizer=optimizer, model=_Growing())
    assert _same(*hook.states[1:3])
    assert all(x.isfinite().all() for x in hook.states[-1].values())
    assert not torch.equal(hook.states[-1]['extra.weight'],
                           hook.states[2]['extra.weight'])


class _Kill(Hook):
    """Sends a signal in the third iteration."""

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 2:
            os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize(('action', 'error'), [
    ('skip', SystemExit), ('stop', RuntimeError)])
def test_a_signal_hides_no_bad_step(tmp_path, action, error):
    hook = NonFiniteHook(action, late=True)
    with pytest.raises(error):
        _train(tmp_path, _data(_4=math.nan), hook, more_hooks=[
            _Kill(), dict(type='mmloc.StopOnSignalHook')])
    assert [x['iteration'] for x in _events(tmp_path)] == [3]
    assert (tmp_path / 'interrupted.pth').exists()


def test_it_changes_nothing_in_a_sound_training(tmp_path):
    hook, runner = _train(tmp_path, _data())
    bare = _train(tmp_path / 'bare', _data(), hook=NonFiniteHook())[1]
    assert _same(hook.states[-1], bare.model.state_dict())
    assert runner.optim_wrapper.optimizer._optimizer_step_pre_hooks == {}


def test_accumulated_gradients_are_skipped_together(tmp_path):
    hook, _ = _train(tmp_path, _data(_4=math.nan), accumulative_counts=2)
    event, = _events(tmp_path)
    assert event['images'] == [f'{i}.jpg' for i in range(4, 8)]
    assert event['bad_images'] == ['4.jpg']
    # Iterations 3 and 4 share a step.
    assert _same(hook.states[1], hook.states[3])
    assert all(x.isfinite().all() for x in hook.states[-1].values())


def test_stops_if_told_so_or_if_it_goes_on(tmp_path):
    with pytest.raises(RuntimeError, match=r"Iteration 3: .*'4.jpg'.*clip"):
        _train(tmp_path, _data(_4=math.nan), hook=NonFiniteHook('stop'))
    bad = {f'_{i}': math.inf for i in (1, 4, 6, 8)}
    with pytest.raises(RuntimeError, match=r'Iteration 5: .*step 3 in a row'):
        _train(tmp_path / 'row', _data(**bad),
               hook=NonFiniteHook(max_consecutive=3))
    assert len(_events(tmp_path / 'row')) == 4


def test_broken_weights_are_not_blamed_on_images(tmp_path):
    model = _Model()
    model.linear.bias.data.fill_(math.nan)
    with pytest.raises(RuntimeError, match=r'first being linear\.bias'):
        _train(tmp_path, _data(), model=model)


def test_no_checkpoint_of_what_is_broken(tmp_path):
    class Break(NonFiniteHook):

        def after_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 3:
                runner.model.norm.running_var[0] = math.nan

    with pytest.raises(RuntimeError, match=r'norm\.running_var holds NaN'):
        _train(tmp_path, _data(), hook=Break(), checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=2))
    assert [x.name for x in tmp_path.glob('*.pth')] == ['iter_2.pth']


@OPTIM_WRAPPERS.register_module()
class _ScaledWrapper(OptimWrapper):
    """mmengine's AmpOptimWrapper demands a GPU; the scaler does not."""

    def __init__(self, init_scale, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler(
            'cpu', init_scale=init_scale, backoff_factor=0.99)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss * 1e6).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


def test_what_a_loss_scaler_skips_is_no_news(tmp_path):
    kwargs = dict(type='_ScaledWrapper', init_scale=2.**127)  # too much
    hook, _ = _train(tmp_path, _data(), **kwargs)
    assert _same(hook.states[0], hook.states[-1] | {
        name: value for name, value in hook.states[0].items()
        if 'running' in name})
    assert hook.num_skipped == 0
    with pytest.raises(RuntimeError, match='gradients are not finite, though'):
        _train(tmp_path / 'long', _data(), hook=NonFiniteHook(
            max_consecutive=5), **kwargs)
    hook, _ = _train(tmp_path / 'loss', _data(_4=math.nan), type=(
        '_ScaledWrapper'), init_scale=4.)
    assert hook.num_skipped == 1
    assert all(x.isfinite().all() for x in hook.states[-1].values())


def _rank(rank, path, tmp_path, late):
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    torch.distributed.init_process_group(
        'gloo', f'file://{path}', rank=rank, world_size=2,
        timeout=timedelta(seconds=60))
    data = _data(16, _5=math.nan)  # of rank 1, in iteration 2
    # Rank 0 alone saves the bad iteration too.
    hook, runner = _train(
        tmp_path, data, _Record(late=late), checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=1),
        sampler=DistributedSampler(
            data, num_replicas=2, rank=rank, shuffle=False))
    assert hook.num_skipped == 1
    assert _same(hook.states[0], hook.states[1])
    states = mp_gather({
        k: v for k, v in runner.model.state_dict().items()
        if 'running' not in k and 'num_batches' not in k
    })
    assert _same(*states)
    assert all(v.isfinite().all() for v in states[0].values())
    torch.distributed.destroy_process_group()


def mp_gather(x):
    found = [None, None]
    torch.distributed.all_gather_object(found, x)
    return found


@pytest.mark.slow
@pytest.mark.parametrize('late', [False, True])
def test_ranks_skip_alike(tmp_path, late):
    mp.spawn(
        _rank, args=(str(tmp_path / 'rendezvous'), tmp_path, late), nprocs=2)
    ranks = _events(tmp_path)
    assert [x['rank'] for x in ranks] == [0, 1]
    assert [x['loss_finite'] for x in ranks] == [True, False]
    assert ranks[1]['bad_images'] == ['5.jpg']
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert "not finite are the pixels or boxes of '5.jpg'." in log


@pytest.mark.parametrize('kwargs', [
    dict(action='ignore'), dict(max_consecutive=0)])
def test_wrong_arguments(kwargs):
    with pytest.raises(ValueError, match='expected'):
        NonFiniteHook(**kwargs)
