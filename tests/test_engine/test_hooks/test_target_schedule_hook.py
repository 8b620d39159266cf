# Copyright (c) mmloc contributors. All rights reserved.
from itertools import pairwise

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmloc.engine.hooks import TargetScheduleHook
from mmloc.models import MomentumTarget


class _Model(BaseModel):
    """A momentum learner of one weight; notes the weights of each pass."""

    def __init__(self, target=None):
        super().__init__()
        self.online = nn.Linear(1, 1, bias=False)
        if target is not None:
            self.target = MomentumTarget(self.online, 0.5, **target)
        self.online_weights, self.target_weights = [], []

    def forward(self, inputs, mode='tensor'):
        loss = self.online(inputs.float()).mean()
        if hasattr(self, 'target'):
            self.target.update_parameters(self.online)
            self.target_weights.append(self.target.module.weight.item())
        self.online_weights.append(self.online.weight.item())
        return dict(loss=loss)


def _train(tmp_path, model, counts, epochs=1, **kwargs):
    data = [dict(inputs=torch.ones(1)) for _ in range(6)]
    runner = Runner(
        model=model, work_dir=str(tmp_path), experiment_name=tmp_path.name,
        train_dataloader=DataLoader(data, batch_size=1),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            type='OptimWrapper', accumulative_counts=counts,
            optimizer=dict(type='SGD', lr=1.)),
        default_hooks=dict(logger=None),
        custom_hooks=[TargetScheduleHook()], **kwargs)
    runner.train()


def _changes(weights):
    return [a != b for a, b in pairwise(weights)]


@pytest.mark.parametrize('configured', ['nothing', 'counts'])
@pytest.mark.parametrize('counts', [1, 2, 3])
def test_target_moves_once_per_optimizer_step(tmp_path, counts, configured):
    model = _Model({} if configured == 'nothing' else dict(interval=counts))
    _train(tmp_path, model, counts)
    # After each optimizer step, the first pass moves the target.
    expected = [step % counts == 0 for step in range(1, 6)]
    assert _changes(model.online_weights) == expected
    assert _changes(model.target_weights) == expected


@pytest.mark.parametrize(('counts', 'interval'), [(1, 4), (2, 3)])
def test_another_interval_is_refused(tmp_path, counts, interval):
    with pytest.raises(ValueError, match=rf'interval is {interval}, but '
                       rf'optim_wrapper\.accumulative_counts is {counts};'):
        _train(tmp_path, _Model(dict(interval=interval)), counts)


def test_models_without_a_target_are_left_alone(tmp_path):
    model = _Model()
    _train(tmp_path, model, 2)
    assert not hasattr(model, 'target')
    assert _changes(model.online_weights) == [False, True] * 2 + [False]


@pytest.mark.parametrize('resume', [False, True])
@pytest.mark.parametrize('counts', [1, 2])
def test_a_new_training_starts_the_schedule_anew(tmp_path, resume, counts):
    _train(tmp_path / 'first', _Model(dict(end_momentum=0.)), counts)
    model = _Model(dict(end_momentum=0.))
    path = tmp_path / 'first' / 'epoch_1.pth'
    _train(tmp_path / 'second', model, counts, epochs=2 if resume else 1,
           resume=resume, load_from=str(path))
    # 6 iterations each; a new start counts as one update.
    assert model.target.steps == (12 if resume else 6 + counts)


@pytest.mark.parametrize(('counts', 'steps'), [(1, 6), (2, 3)])
def test_schedule_lasts_as_many_steps_as_the_optimizer(tmp_path, counts,
                                                       steps):
    model = _Model(dict(end_momentum=0.))
    _train(tmp_path, model, counts)
    assert model.target.total_steps == steps


def test_a_length_in_the_config_stays(tmp_path):
    model = _Model(dict(end_momentum=0., total_steps=50))
    _train(tmp_path, model, 1)
    assert model.target.total_steps == 50
