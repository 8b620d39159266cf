# Copyright (c) mmloc contributors. All rights reserved.
"""Training steps of several processes, wrapped by the runner in DDP."""
from itertools import chain

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank, is_distributed

from mmloc.engine import Runner

from ..test_models import test_insloc, test_soco

# Boxes of each image of each rank, step by step. The sizes of batches differ
# between ranks, some ranks have no box, and no total divides the queue's 7.
STEPS = {
    2: [[(1, 2, 0), (2, )], [(0, 0), (1, 2)], [(1, 1), (3, )]],
    3: [[(2, ), (1, 0, 1), (4, )], [(1, 3), (0, ), (2, )],
        [(1, 1), (2, ), (3, 2)]],
}


def build(method):
    if method == 'insloc':
        return test_insloc.build()
    if method == 'soco-assigned-levels':
        return test_soco.build(roi_extractor=dict(
            type='mmloc.AssignedLevelRoIExtractor',
            thresholds=(14, 28, 42, 64)))
    return test_soco.build(PAIRS[method])


PAIRS = {
    'soco': test_soco.STAR[:2],
    'soco-assigned-levels': test_soco.STAR[:2],
    'soco-star': test_soco.STAR,
}


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
        test_soco.make_batch(PAIRS[method], 1, k, seed=10 * seed + i)
        for i, k in enumerate(counts)
    ])


def to_double(inputs, samples):
    for sample in chain.from_iterable(samples.values()):
        for name, value in sample.gt_instances.items():
            if value.is_floating_point():
                setattr(sample.gt_instances, name, value.double())
    return {view: x.double() for view, x in inputs.items()}, samples


def train(method, counts_of_steps, work_dir, training=False):
    """Make a step for each list of lists of counts.

    Without a process group the lists of a step make one batch, in one they
    are those of the ranks. Unless ``training``, BatchNorm uses its running
    statistics, so that a result does not depend on who shares its batch.

    Returns:
        tuple: The loss of each step, the gradients of each, and the state.
    """
    model = build(method).double().train(training)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    'method', ['insloc', 'soco-star', 'soco-assigned-levels'])
def test_ranks_without_boxes_take_part(method, in_processes, tmp_path):
    """DDP waits for the gradient of every parameter from every rank."""
    steps = [[(2, 1), (0, 0)], [(0, 0), (1, 3)], [(0, 2), (3, 1)]]
    ranks = in_processes(2, train, method, steps, str(tmp_path), True)
    (losses, grads, state), (_, other_grads, other_state) = ranks
    assert np.isfinite(losses).all()
    assert grads.keys() == other_grads.keys()
    assert sum(name.startswith('1.') for name in grads) == len(
        [n for n, p in build(method).named_parameters() if p.requires_grad])
    for name, value in state.items():
        assert np.isfinite(value).all(), name
        # The statistics are those of a rank's own batches.
        if 'running_' not in name:
            assert np.array_equal(value, other_state[name]), name
