# Copyright (c) mmloc contributors. All rights reserved.
from itertools import chain

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmloc.engine.hooks import PreciseBNHook


class _Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.frozen = nn.BatchNorm1d(2).eval()
        self.frozen.train = lambda mode=True: self.frozen
        self.modes = []

    def forward(self, inputs, mode='tensor'):
        self.modes.append(mode)
        x = self.frozen(self.norm(inputs.float()))
        return dict(loss=x.square().mean()) if mode == 'loss' else x


def _data(count):
    """Samples far from the statistics 0 and 1 that a new BN has."""
    torch.manual_seed(0)
    return [dict(inputs=torch.randn(2) * 3 + 5) for _ in range(count)]


@pytest.fixture
def make_runner(tmp_path):
    def make(num_images=8, **train_cfg):
        loader = DataLoader(_data(num_images), batch_size=4, shuffle=False)
        return Runner(
            model=_Model(), work_dir=str(tmp_path), train_dataloader=loader,
            train_cfg=train_cfg,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
            custom_hooks=[PreciseBNHook(num_iters=2)],
            default_hooks=dict(checkpoint=dict(type='CheckpointHook',
                                               by_epoch=False, interval=2)),
            experiment_name=tmp_path.name)
    return make


def _expected():
    batches = torch.stack([x['inputs'] for x in _data(8)]).view(2, 4, 2)
    return batches.mean((0, 1)), batches.var(1).mean(0)


@pytest.mark.parametrize('train_cfg', [
    dict(by_epoch=True, max_epochs=1),
    dict(by_epoch=False, max_iters=2, val_interval=2),
], ids=['epochs', 'iterations'])
def test_statistics_are_plain_averages_over_training_batches(
        make_runner, train_cfg, tmp_path):
    runner = make_runner(**train_cfg)
    runner.train()
    mean, var = _expected()
    norm = runner.model.norm
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, var)
    assert norm.momentum == 0.1
    assert int(norm.num_batches_tracked) == 2
    # 2 iterations of training and 2 of estimation, none in another mode.
    assert runner.model.modes == ['loss'] * 4
    torch.testing.assert_close(runner.model.frozen.running_mean,
                               torch.zeros(2))
    if not train_cfg['by_epoch']:
        saved = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
        torch.testing.assert_close(
            saved['state_dict']['norm.running_mean'], mean)


def test_only_before_evaluations(make_runner):
    runner = make_runner(
        num_images=44, by_epoch=False, max_iters=5, val_interval=2)
    runner.train()
    # After iterations 2, 4 and the last, 5.
    assert len(runner.model.modes) == 5 + 3 * 2


def test_number_of_batches_is_checked():
    with pytest.raises(ValueError, match='at least 1, got 0'):
        PreciseBNHook(num_iters=0)


class _Images(Dataset):
    """Upright and lying images by turns, each known by its index."""

    metainfo: dict = {}

    def __len__(self):
        return 40

    def get_data_info(self, index):
        return dict(width=4 + index % 3, height=5)

    def __getitem__(self, index):
        return dict(inputs=torch.full((2, 3), float(index)))


class _Recorder(_Model):

    def __init__(self):
        super().__init__()
        self.estimating = False
        self.trained = []

    def forward(self, inputs, mode='tensor'):
        if not self.estimating:
            self.trained.append(inputs[:, 0, 0].int().tolist())
        return super().forward(inputs, mode)


class _Hook(PreciseBNHook):
    """Tells the model which batches are of the hook."""

    def estimate(self, runner):
        model, before = runner.model, len(runner.model.modes)
        model.estimating = True
        super().estimate(runner)
        model.estimating = False
        assert len(model.modes) - before == self.num_iters


def _train_with_workers(tmp_path, sampler, num_iters, **train_cfg):
    runner = Runner(
        model=_Recorder(), work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=3, num_workers=2, persistent_workers=True,
            sampler=sampler, dataset=_Images(),
            batch_sampler=dict(type='AspectRatioBatchSampler'),
            collate_fn=dict(type='default_collate')),
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        custom_hooks=[_Hook(num_iters)],
        default_hooks=dict(logger=None, checkpoint=None),
        default_scope='mmdet', experiment_name=tmp_path.name)
    runner.train()
    # End the workers now: the garbage collector would wait 5 s for each.
    runner.train_loop.dataloader_iterator = None
    runner.train_dataloader._iterator = None
    return runner.model.trained


def test_an_infinite_stream_goes_on(tmp_path):
    """The data of the shipped COCO configs."""
    trained = _train_with_workers(
        tmp_path, dict(type='InfiniteSampler', seed=0), 4, by_epoch=False,
        max_iters=9, val_interval=3)
    assert len(trained) == 9
    for batch in trained:
        assert len(batch) == 3
        assert len({index % 3 == 0 for index in batch}) == 1  # of one shape


def test_the_next_epoch_is_whole(tmp_path):
    """Nor do images that the hook has asked for come twice."""
    trained = _train_with_workers(
        tmp_path, dict(type='DefaultSampler', seed=0), 3, by_epoch=True,
        max_epochs=3)
    assert len(trained) == 3 * 14
    for epoch in range(3):
        batches = trained[14 * epoch:14 * epoch + 14]
        assert sorted(chain(*batches)) == list(range(40))


def test_no_batch_is_an_error(tmp_path):
    loader = DataLoader(_data(2), batch_size=4, drop_last=True)
    runner = Runner(
        model=_Model(), work_dir=str(tmp_path), train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        custom_hooks=[PreciseBNHook()], default_hooks=dict(checkpoint=None),
        experiment_name=tmp_path.name)
    with pytest.raises(RuntimeError, match='no batch in train_dataloader'):
        runner.train()
