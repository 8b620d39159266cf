# Copyright (c) mmloc contributors. All rights reserved.
import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmloc.engine import LARS


def make_param(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    param = nn.Parameter(torch.randn(*shape, generator=generator).double())
    param.grad = torch.randn(*shape, generator=generator).double()
    return param


def test_two_steps_by_hand():
    param = make_param(3, 2)
    expected, grad = param.detach().clone(), param.grad.clone()
    optimizer = LARS([param], lr=0.5, momentum=0.9, weight_decay=0.1)
    buffer = 0
    for _ in range(2):
        decayed = grad + 0.1 * expected
        decayed *= 0.001 * expected.norm() / (decayed.norm() + 1e-8)
        buffer = 0.9 * buffer + decayed
        expected = expected - 0.5 * buffer
        optimizer.step()
        torch.testing.assert_close(param.detach(), expected)
    assert torch.equal(param.grad, grad)


def test_vectors_are_neither_decayed_nor_scaled():
    param = make_param(4)
    expected = param.detach() - 0.5 * param.grad
    LARS([param], lr=0.5, weight_decay=0.1).step()
    torch.testing.assert_close(param.detach(), expected)


@pytest.mark.parametrize('zero', ['weight', 'gradient'])
def test_zero_norms_are_not_scaled(zero):
    param = make_param(2, 2)
    if zero == 'weight':
        param.data.zero_()
    else:
        param.grad.zero_()
    expected = param.detach() - 0.5 * param.grad
    LARS([param], lr=0.5).step()
    torch.testing.assert_close(param.detach(), expected)


def test_parameters_without_gradient_stay():
    idle, param = make_param(2, 2), make_param(2, 2, seed=1)
    idle.grad = None
    before = idle.detach().clone()
    LARS([idle, param], lr=0.5).step()
    assert torch.equal(idle, before)


def test_state_resumes():
    params = [make_param(3, 2), make_param(5, seed=1)]
    optimizer = LARS(params, lr=0.5)
    optimizer.step()
    others = copy.deepcopy(params)
    for other, param in zip(others, params):
        other.grad = param.grad.clone()
    resumed = LARS(others, lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one in (optimizer, resumed):
        one.step()
    for other, param in zip(others, params):
        assert torch.equal(other, param)


def test_builds_from_a_config():
    wrapper = build_optim_wrapper(
        nn.Linear(2, 2),
        dict(type='OptimWrapper', optimizer=dict(type='mmloc.LARS', lr=1.)))
    assert isinstance(wrapper.optimizer, LARS)


def test_closure_and_wrong_arguments():
    param = make_param(2, 2)
    assert LARS([param], lr=0.1).step(lambda: 3) == 3
    with pytest.raises(ValueError, match='weight_decay of LARS is -1'):
        LARS([param], lr=0.1, weight_decay=-1)
