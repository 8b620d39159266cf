# Copyright (c) mmloc contributors. All rights reserved.
import json

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import nn
from torch.utils.data import DataLoader

from mmloc.engine.hooks import CollapseMonitorHook
from mmloc.models.heads import InsLocHead


class _Model(BaseModel):
    """A projector before InsLoc's head; batches are vectors."""

    def __init__(self, with_head=True):
        super().__init__()
        self.projector = nn.Linear(8, 8, bias=False)
        nn.init.eye_(self.projector.weight)
        if with_head:
            self.head = InsLocHead(dict(
                type='mmloc.FeatureQueue', num_levels=1, channels=8,
                length=16))

    def forward(self, inputs, mode='tensor'):
        x = self.projector(inputs)
        if not hasattr(self, 'head'):
            return dict(loss=x.mean())
        samples = [
            DetDataSample(gt_instances=InstanceData(labels=torch.tensor([0])))
            for _ in x
        ]
        return self.head.loss([x], [x.detach()], samples, samples)


def _train(tmp_path, model, iters=8, **kwargs):
    torch.manual_seed(0)
    data = [dict(inputs=torch.randn(8)) for _ in range(8 * iters)]
    runner = Runner(
        model=model, work_dir=str(tmp_path), experiment_name=tmp_path.name,
        train_dataloader=DataLoader(data, batch_size=8),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=2),
                           checkpoint=None),
        visualizer=dict(type='Visualizer', vis_backends=[
            dict(type='LocalVisBackend')]),
        custom_hooks=[CollapseMonitorHook(interval=2, begin=0, **kwargs)])
    runner.train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text()
    return log, [json.loads(x) for x in lines.splitlines()]


def test_spread_embeddings_are_logged_without_a_warning(tmp_path):
    model = _Model()
    log, scalars = _train(tmp_path, model)
    assert len(scalars) == 4
    for line in scalars:
        assert 0.7 < line['std'] < 1
        assert 4 < line['rank'] < 8
        assert line['pos_sim'] == pytest.approx(1)
        assert abs(line['neg_sim']) < 0.3
        assert line['queue_age'] == 2
        assert 'max_rank' not in line
    assert 'Collapse?' not in log
    assert 'loss' not in vars(model.head)  # listens no more


def test_zeroed_projector_is_a_collapse(tmp_path):
    model = _Model()
    nn.init.zeros_(model.projector.weight)
    log, scalars = _train(tmp_path, model)
    assert scalars[-1]['std'] == 0
    assert scalars[-1]['rank'] == 1
    # Once each, at the third of four measures.
    assert log.count('nearly the same: their standard deviation is 0.000') == 1
    assert log.count('fill 1.0 dimensions of 8') == 1
    assert log.count('in iteration 6') == 2


def test_a_projector_of_rank_2_loses_dimensions_only(tmp_path):
    model = _Model()
    nn.init.zeros_(model.projector.weight[2:])
    log, scalars = _train(tmp_path, model)
    assert scalars[-1]['rank'] <= 2
    assert scalars[-1]['std'] > 0.1
    assert 'nearly the same' not in log
    assert 'dimensions of 8 that they could fill' in log


def test_no_warning_before_it_lasts(tmp_path):
    model = _Model()
    nn.init.zeros_(model.projector.weight)
    assert 'Collapse?' not in _train(tmp_path, model, patience=5)[0]


def test_other_models_are_left_alone(tmp_path):
    scalars = _train(tmp_path, _Model(with_head=False))[1]
    assert all('std' not in line for line in scalars)


def test_wrong_arguments():
    with pytest.raises(ValueError, match='interval is 0'):
        CollapseMonitorHook(interval=0)
