# Copyright (c) mmloc contributors. All rights reserved.
"""Training steps of several processes against those of one.

The model is wrapped by the runner, so DDP averages the gradients. BatchNorm
uses its running statistics where results are compared: its batches are
those of a process.
"""
from itertools import chain

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_rank, is_distributed
from mmengine.model import revert_sync_batchnorm

from mmloc.engine import Runner
from mmloc.registry import MODELS

from ..test_models import test_insloc, test_soco

# Boxes of each image of each rank, step by step. The sizes of batches differ
# between ranks, some ranks have no box, and no total divides the queue's 7.
STEPS = {
    2: [[(1, 2, 0), (2, )], [(0, 0), (1, 2)], [(1, 1), (3, )]],
    3: [[(2, ), (1, 0, 1), (4, )], [(1, 3), (0, ), (2, )],
        [(1, 1), (2, ), (3, 2)]],
}


def build(method, **kwargs):
    if method == 'insloc':
        return test_insloc.build(**kwargs)
    if method == 'soco':
        return test_soco.build(**kwargs)
    cfg = Config.fromfile(test_soco.CONFIGS / method).model
    cfg.target.total_steps = 10
    model = MODELS.build(cfg)
    model.init_weights()
    return revert_sync_batchnorm(model)


def join(batches):
    inputs, samples = zip(*batches)
    return ({
        view: torch.cat([x[view] for x in inputs])
        for view in inputs[0]
    }, {
        view: list(chain.from_iterable(x[view] for x in samples))
        for view in samples[0]
    })


def make_batch(method, counts, seed):
    """Images with ``counts`` boxes each; one key of InsLoc has no query."""
    if method == 'insloc':
        inputs, samples = test_insloc.make_batch(counts, seed)
        for label in samples['key'][0].gt_instances.labels[:1]:
            label += 50
        return inputs, samples
    return join([
        test_soco.make_batch(num=1, k=k, seed=10 * seed + i)
        for i, k in enumerate(counts)
    ])


def to_double(inputs, samples):
    for sample in chain.from_iterable(samples.values()):
        for name, value in sample.gt_instances.items():
            if value.is_floating_point():
                setattr(sample.gt_instances, name, value.double())
    return {view: x.double() for view, x in inputs.items()}, samples


def train(method, counts_of_steps, work_dir, **kwargs):
    """Make a step for each list of lists of counts.

    Without a process group the lists of a step make one batch, in one they
    are those of the ranks.
    """
    model = build(method, **kwargs).double().eval()
    if is_distributed():
        model = Runner(model, work_dir, launcher='pytorch').model
        assert isinstance(model, torch.nn.parallel.DistributedDataParallel)
    core = model.module if is_distributed() else model
    optimizer = torch.optim.SGD(core.parameters(), lr=0.1)
    losses, grads = [], {}
    for step, ranks in enumerate(counts_of_steps):
        batches = [
            to_double(*make_batch(method, counts, seed=10 * step + rank))
            for rank, counts in enumerate(ranks)
        ]
        batch = batches[get_rank()] if is_distributed() else join(batches)
        loss, _ = core.parse_losses(model(*batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        grads.update({
            f'{step}.{name}': param.grad.numpy()
            for name, param in core.named_parameters()
            if param.grad is not None
        })
    state = {name: x.numpy() for name, x in core.state_dict().items()}
    return losses, grads, state


@pytest.mark.slow
@pytest.mark.parametrize('world_size', [2, 3])
@pytest.mark.parametrize('method', ['insloc', 'soco'])
def test_steps_are_those_of_one_process(
        method, world_size, in_processes, tmp_path):
    steps = STEPS[world_size]
    losses, grads, state = train(method, steps, None)
    ranks = in_processes(world_size, train, method, steps, str(tmp_path))

    np.testing.assert_allclose(
        np.mean([rank[0] for rank in ranks], axis=0), losses, rtol=1e-10)
    assert len(set(losses)) == len(losses)
    for _, their_grads, their_state in ranks:
        assert their_grads.keys() == grads.keys()
        for name, grad in grads.items():
            np.testing.assert_allclose(
                their_grads[name], grad, rtol=1e-7, atol=1e-10, err_msg=name)
        for name, value in state.items():
            np.testing.assert_allclose(
                their_state[name], value, rtol=1e-7, atol=1e-9, err_msg=name)
            # Between ranks every bit is the same.
            assert np.array_equal(their_state[name], ranks[0][2][name]), name
    if method == 'insloc':
        boxes = sum(sum(map(sum, step)) for step in steps)
        assert state['head.queue.pointer'] == [boxes % 7]
