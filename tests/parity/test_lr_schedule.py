# Copyright (c) mmloc contributors. All rights reserved.
"""The learning rate of the shipped schedules against the published ones."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from .golden import assert_close, load_case

CONFIGS = Path(__file__).parents[2] / 'configs'


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
        CONFIGS / f'insloc/insloc_r50_fpn_8xb32-coslr-{schedule}_in1k.py')
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


@pytest.mark.parametrize('key', ['soco_lr_0', 'soco_lr_1'])
def test_soco(key):
    """The shipped schedule, with the steps and the base of the reference."""
    case, arrays = load_case('lr_schedules')
    trace = next(x for x in case['traces'] if x['key'] == key)
    cfg = Config.fromfile(CONFIGS / '_base_/schedules/soco_coslr-100e.py')
    assert (cfg.max_epochs, cfg.warmup_epochs) == (trace['epochs'],
                                                   trace['warmup_epochs'])
    optimizer = OptimWrapper(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)],
                        lr=trace['base_lr']))
    schedulers = []
    for scheduler_cfg in cfg.param_scheduler:
        assert scheduler_cfg.pop('convert_to_iter_based')
        cls = PARAM_SCHEDULERS.get(scheduler_cfg.pop('type'))
        schedulers.append(
            cls.build_iter_from_epoch(
                optimizer=optimizer,
                epoch_length=trace['iterations_per_epoch'],
                **scheduler_cfg))
    rates = []
    for _ in arrays[key]:
        rates.append(optimizer.get_lr()['lr'][0])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert_close(f'{key}: learning rate', rates, arrays[key], rtol=1e-9)


def test_soco_400_epochs_differ_in_length_only():
    short, long = (
        Config.fromfile(CONFIGS / f'_base_/schedules/soco_coslr-{epochs}e.py')
        for epochs in (100, 400))
    assert long.param_scheduler[0] == short.param_scheduler[0]
    assert long.param_scheduler[1] == dict(
        short.param_scheduler[1], T_max=390, end=400)
    assert long.train_cfg.max_epochs == 400
    assert long.optim_wrapper == short.optim_wrapper
