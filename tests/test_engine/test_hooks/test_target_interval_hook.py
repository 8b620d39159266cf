# Copyright (c) mmloc contributors. All rights reserved.
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from torch import nn

from mmloc.engine.hooks import TargetIntervalHook


def _runner(model, **optim_wrapper):
    runner = MagicMock()
    runner.model = model
    runner.cfg = Config(dict(optim_wrapper=optim_wrapper))
    return runner


@pytest.mark.parametrize('counts', [1, 3])
def test_target_moves_once_per_optimizer_step(counts):
    model = nn.Module()
    model.online = nn.Linear(1, 1, bias=False)
    model.target = ExponentialMovingAverage(model.online, momentum=0.5)
    runner = _runner(model, accumulative_counts=counts)
    TargetIntervalHook().before_train(runner)

    moved = []
    for step in range(6):
        before = model.target.module.weight.clone()
        with torch.no_grad():
            model.online.weight.fill_(step + 10.)
        model.target.update_parameters(model.online)
        moved.append(not torch.equal(before, model.target.module.weight))
    assert moved == [step % counts == 0 for step in range(6)]
    assert runner.logger.info.called == (counts > 1)


def test_models_without_a_target_are_left_alone():
    model = nn.Linear(1, 1)
    TargetIntervalHook().before_train(_runner(model, accumulative_counts=4))
    assert not hasattr(model, 'target')
