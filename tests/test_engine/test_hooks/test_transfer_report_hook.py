# Copyright (c) mmloc contributors. All rights reserved.
import logging
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import nn

from mmloc.engine.hooks import TransferReportHook


class _Backbone(BaseModule):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, 1, 1)


class _Detector(BaseModule):

    def __init__(self, init_cfg=None):
        super().__init__()
        self.backbone = _Backbone(init_cfg)
        self.rpn_head = nn.Linear(1, 1)


@pytest.fixture
def logs(caplog):
    caplog.set_level(logging.INFO, 'transfer')
    return caplog


def _runner(model, **cfg):
    runner = MagicMock()
    runner.model = model
    runner.cfg = Config(cfg)
    runner.logger = logging.getLogger('transfer')
    return runner


def _pretraining_state():
    return {
        'module.backbone.conv.weight': torch.ones(1, 1, 1, 1),
        'module.backbone.conv.bias': torch.ones(1),
        'module.target.module.backbone.conv.bias': torch.ones(1),
        'module.head.queue.features': torch.ones(2),
    }


def test_report_of_load_from_and_pretext_tensors_taken_out(logs):
    checkpoint = dict(state_dict=_pretraining_state())
    runner = _runner(_Detector(), load_from='pre.pth')
    TransferReportHook().after_load_checkpoint(runner, checkpoint)
    assert 'Transfer from pre.pth' in logs.text
    assert '| backbone | 2 of 2' in logs.text
    assert list(checkpoint['state_dict']) == [
        'module.backbone.conv.weight', 'module.backbone.conv.bias'
    ]


def test_a_full_match_is_one_line(logs):
    model = _Detector()
    runner = _runner(model, load_from='det.pth')
    TransferReportHook().after_load_checkpoint(runner, model.state_dict())
    assert logs.messages == [
        'Transfer from det.pth: all 4 tensors loaded.'
    ]


def test_a_part_of_a_module_is_a_warning(logs):
    state = _pretraining_state()
    del state['module.backbone.conv.bias']
    TransferReportHook().after_load_checkpoint(
        _runner(_Detector()), dict(state_dict=state))
    assert logs.records[-1].levelno == logging.WARNING
    assert 'backbone' in logs.messages[-1]


def test_nothing_matching_is_an_error():
    checkpoint = dict(state_dict={'encoder.weight': torch.ones(1)})
    with pytest.raises(RuntimeError, match='which has encoder'):
        TransferReportHook().after_load_checkpoint(
            _runner(_Detector()), checkpoint)


def test_nothing_is_said_on_resuming(logs):
    checkpoint = dict(state_dict={'encoder.weight': torch.ones(1)})
    hook = TransferReportHook()
    hook.after_load_checkpoint(_runner(_Detector(), resume=True), checkpoint)
    hook.before_train(_runner(_Detector(), resume=True))
    assert not logs.messages


@pytest.mark.parametrize('prefix', ['backbone', 'backbone.', None])
def test_report_of_init_cfg(tmp_path, logs, prefix):
    state = {'conv.weight': torch.ones(1, 1, 1, 1), 'conv.bias': torch.ones(1)}
    if prefix:
        state = {f'backbone.{name}': value for name, value in state.items()}
    file = tmp_path / 'pre.pth'
    torch.save(dict(state_dict=state), file)
    init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix=prefix)
    TransferReportHook().before_train(_runner(_Detector(init_cfg)))
    assert 'pre.pth, to backbone: all 2 tensors loaded' in logs.text


def test_the_hook_is_called_where_checkpoints_are_loaded():
    # The hook point is mmengine's; this fails if it is renamed.
    assert 'after_load_checkpoint' in Runner.load_checkpoint.__code__.co_consts
