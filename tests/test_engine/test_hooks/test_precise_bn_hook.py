# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

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
    def make(**train_cfg):
        loader = DataLoader(_data(8), batch_size=4, shuffle=False)
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
    runner = make_runner(by_epoch=False, max_iters=5, val_interval=2)
    runner.train()
    # After iterations 2, 4 and the last, 5.
    assert len(runner.model.modes) == 5 + 3 * 2


def test_number_of_batches_is_checked():
    with pytest.raises(ValueError, match='at least 1, got 0'):
        PreciseBNHook(num_iters=0)
