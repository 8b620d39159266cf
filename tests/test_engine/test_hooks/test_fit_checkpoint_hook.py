# Copyright (c) mmloc contributors. All rights reserved.
import logging
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import Runner
from mmengine.runner.priority import get_priority
from torch import nn

from mmloc.engine import FitCheckpointHook, TransferReportHook


class _Detector(BaseModule):

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict(dict(conv1=nn.Linear(1, 1)))


def _runner(**cfg):
    runner = MagicMock()
    runner.model = _Detector()
    runner.cfg = Config(dict(load_from='torchvision://x', **cfg))
    runner.logger = logging.getLogger('fit')
    return runner


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_names_are_fitted_in_place(wrapped, prefix, caplog):
    caplog.set_level(logging.INFO, 'fit')
    state = {f'{prefix}conv1.weight': torch.ones(1, 1)}
    checkpoint = dict(state_dict=state) if wrapped else state
    FitCheckpointHook().after_load_checkpoint(_runner(), checkpoint)
    assert list(state) == ['backbone.conv1.weight']
    assert 'Fitted torchvision://x to the model: 1 tensors' in caplog.text


def test_nothing_is_changed_on_resuming_or_where_names_agree(caplog):
    caplog.set_level(logging.INFO, 'fit')
    hook = FitCheckpointHook()
    for state, cfg in ((dict(conv1=1), dict(resume=True)),
                       ({'backbone.conv1.weight': 1}, dict())):
        before = dict(state)
        hook.after_load_checkpoint(_runner(**cfg), state)
        assert state == before
    assert not caplog.messages


def test_weights_that_saw_other_colours_are_warned_of(caplog):
    images = dict(mean=[1.], std=[2.])
    runner = _runner(model=dict(data_preprocessor=dict(
        images, bgr_to_rgb=True)))
    trained = Config(dict(model=dict(data_preprocessor=images)))
    FitCheckpointHook().after_load_checkpoint(runner, dict(
        state_dict={}, meta=dict(cfg=trained.pretty_text)))
    assert 'colours BGR, here RGB. Take the config' in caplog.text


def test_names_are_fitted_before_the_report(tmp_path):
    """By priority: configs of others may list the hooks in any order."""
    assert get_priority(FitCheckpointHook.priority) < get_priority(
        TransferReportHook.priority)
    file = tmp_path / 'resnet.pth'
    torch.save({'conv1.weight': torch.full((1, 1), 7.)}, file)
    runner = Runner(
        _Detector(), str(tmp_path), load_from=str(file), default_hooks={},
        custom_hooks=[dict(type='mmloc.TransferReportHook'),
                      dict(type='mmloc.FitCheckpointHook')],
        experiment_name='fit')
    runner.load_or_resume()
    assert runner.model.backbone['conv1'].weight.item() == 7
