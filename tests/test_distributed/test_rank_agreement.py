# Copyright (c) mmloc contributors. All rights reserved.
"""RankAgreementHook in trainings of several processes."""
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn

from mmloc.engine import RankAgreementHook, Runner
from mmloc.models import FeatureQueue


class Learner(BaseModel):
    """Weights that DDP keeps equal, and a queue and a norm that it does not.
    """

    def __init__(self):
        super().__init__()
        self.queue = FeatureQueue(num_levels=1, channels=2, length=3)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, inputs, mode):
        x = self.norm(inputs.float()[:, None] * torch.ones(2))
        self.queue.enqueue(x.detach()[:, None])
        return dict(loss=x.square().sum())


class Tamper(Hook):
    """Change a tensor by the last bit, on one rank only."""

    def __init__(self, name, rank):
        self.name, self.rank = name, rank

    def after_train_iter(self, runner, batch_idx, **_):
        if runner.iter == 3 and get_rank() == self.rank:
            tensor = runner.model.module.state_dict()[self.name]
            tensor.view(-1).view(torch.int32)[0] ^= 1


def train(work_dir, name='', rank=-1, num_images=24, round_up=True,
          **settings):
    """Train for an epoch; return the error and the iterations made."""
    torch.manual_seed(0)
    runner = Runner(
        Learner(),
        work_dir,
        train_dataloader=dict(
            dataset=list(range(num_images)),
            batch_size=2,
            sampler=dict(type='DefaultSampler', round_up=round_up),
            collate_fn=lambda x: dict(inputs=torch.tensor(x))),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        default_hooks=dict(checkpoint=None),
        launcher='pytorch')
    runner.register_hook(Tamper(name, rank), priority='HIGHEST')
    runner.register_hook(RankAgreementHook(interval=2, **settings))
    try:
        runner.train()
    except RuntimeError as error:
        return str(error), runner.iter
    return None, runner.iter


def test_ranks_that_agree_train_on(in_processes, tmp_path):
    # Their BatchNorm statistics differ; 5 images are 3 each, the last twice.
    for images, iters in ((24, 4), (5, 1)):
        results = in_processes(3, train, str(tmp_path), '', -1, images)
        assert results == [(None, iters)] * 3


def test_a_drifted_queue_stops_all_ranks(in_processes, tmp_path):
    results = in_processes(3, train, str(tmp_path), 'queue.features', 1)
    assert len(set(results)) == 1
    message, iteration = results[0]
    assert iteration == 3
    assert 'After iteration 4 ' in message
    assert 'queue.features of rank 1 differ from those of rank 0' in message


def test_a_drifted_weight_is_named(in_processes, tmp_path):
    results = in_processes(2, train, str(tmp_path), 'norm.weight', 0)
    assert all('norm.weight of rank 1 differ' in text for text, _ in results)


def test_unequal_lengths_are_refused_at_the_start(in_processes, tmp_path):
    # Of 5 images rank 0 gets 3, which are 2 batches, and rank 1 gets 2.
    results = in_processes(2, train, str(tmp_path), '', -1, 5, False)
    for message, iteration in results:
        assert 'would make [2, 1] iterations' in message
        assert 'round_up=True' in message
        assert iteration == 0
