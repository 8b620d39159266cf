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


@pytest.mark.parametrize('schedule', ['200e', '400e'])
def test_insloc(schedule):
    _, arrays = load_case('lr_schedules')
    reference = arrays['insloc_lr_epoch']
    cfg = Config.fromfile(
        CONFIGS / f'insloc_r50_fpn_8xb32-coslr-{schedule}_in1k.py')
    epochs = cfg.train_cfg.max_epochs
    optimizer_cfg = cfg.optim_wrapper.optimizer
    assert optimizer_cfg == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4, nesterov=True)
    optimizer = OptimWrapper(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.03))
    scheduler = PARAM_SCHEDULERS.build(
        dict(cfg.param_scheduler[0]), default_args=dict(optimizer=optimizer))
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.get_lr()['lr'][0])
        optimizer.optimizer.step()
        scheduler.step()
    # The 400 epochs follow the same curve, stretched.
    stretch = epochs // len(reference)
    np.testing.assert_allclose(rates[::stretch], reference, rtol=1e-9)
