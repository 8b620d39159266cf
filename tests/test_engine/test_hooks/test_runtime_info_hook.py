# Copyright (c) mmloc contributors. All rights reserved.
from unittest.mock import patch

import pytest
import torch
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import DataLoader

from mmloc.engine import Runner
from mmloc.engine.hooks import RuntimeInfoHook


class _Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, inputs, mode='tensor'):
        loss = self.linear(inputs).square().mean()
        # A number on the host as well.
        return dict(loss_x=loss, acc=torch.tensor(float(len(inputs))))


def _train(folder, hook):
    torch.manual_seed(0)
    data = [dict(inputs=torch.randn(3)) for _ in range(10)]
    runner = Runner(
        model=_Model(), work_dir=str(folder), experiment_name=folder.name,
        train_dataloader=DataLoader(data, batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            runtime_info=hook,
            checkpoint=dict(type='CheckpointHook', by_epoch=False,
                            interval=3),
            logger=dict(type='LoggerHook', interval=4)))
    runner.train()
    return runner


def test_same_history_from_fewer_reads(tmp_path):
    """The logger is due after 4 of the 5 iterations of an epoch, checkpoints
    are after each third."""
    expected = _train(tmp_path / 'a', MMEngineRuntimeInfoHook())
    reads = []
    read = RuntimeInfoHook.read

    def note(self, runner):
        if self._unread:
            reads.append(runner.iter + 1)
        read(self, runner)

    with patch.object(RuntimeInfoHook, 'read', note), patch(
            'time.monotonic', return_value=0.):
        ours = _train(tmp_path / 'b', RuntimeInfoHook())
    assert reads == [3, 4, 5, 6, 9, 10]
    for name in ('loss', 'loss_x', 'acc', 'lr'):
        (values, counts), (expected_values, expected_counts) = (
            runner.message_hub.get_scalar(f'train/{name}').data
            for runner in (ours, expected))
        assert list(values) == pytest.approx(list(expected_values))
        assert list(counts) == list(expected_counts)
    saved = torch.load(tmp_path / 'b/iter_3.pth')['message_hub']
    history, _ = saved['log_scalars']['train/loss'].data
    assert len(history) == 3


def test_mmengines_name_gives_it(tmp_path):
    runner = _train(tmp_path, dict(type='RuntimeInfoHook'))
    assert any(type(hook) is RuntimeInfoHook for hook in runner.hooks)
