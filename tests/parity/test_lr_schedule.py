# Copyright (c) mmloc contributors. All rights reserved.
"""The learning rate of the shipped schedules against the published ones."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from .golden import load_case

CONFIGS = Path(__file__).parents[2] / 'configs' / 'insloc'


@pytest.fixture(scope='module')
def trace():
    """What the reference ran, and its rate in each epoch."""
    case, arrays = load_case('lr_schedules')
    for trace in case['traces']:
        if trace['key'] == 'insloc_lr_epoch':
            return trace, arrays[trace['key']]
    pytest.skip('the set has no learning rates of InsLoc')


@pytest.mark.parametrize('schedule', ['200e', '400e'])
def test_insloc(schedule, trace):
    trace, reference = trace
    cfg = Config.fromfile(
        CONFIGS / f'insloc_r50_fpn_8xb32-coslr-{schedule}_in1k.py')
    epochs = cfg.train_cfg.max_epochs
    optimizer_cfg = cfg.optim_wrapper.optimizer
    assert optimizer_cfg == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4, nesterov=True)
    scheduler_cfg, = cfg.param_scheduler
    assert [scheduler_cfg[name] for name in ('begin', 'end', 'T_max')
            ] == [0, epochs, epochs]
    assert scheduler_cfg.eta_min == 0
    # The curve is the same for any number of epochs, stretched: compare it
    # with that of the reference run.
    optimizer = OptimWrapper(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)],
                        lr=trace['base_lr']))
    scheduler = PARAM_SCHEDULERS.build(
        dict(
            scheduler_cfg,
            end=trace['epochs'],
            T_max=trace['epochs'],
            eta_min=trace['min_lr']),
        default_args=dict(optimizer=optimizer))
    rates = []
    for _ in reference:
        rates.append(optimizer.get_lr()['lr'][0])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates, reference, rtol=1e-9)
