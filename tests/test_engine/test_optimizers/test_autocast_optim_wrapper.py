# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from mmengine.device import get_device
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmloc.engine import AutocastOptimWrapper


def _wrapper(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return AutocastOptimWrapper(optimizer=optimizer, **kwargs)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(4, 2).to(get_device())


def test_a_step_runs_in_bfloat16_and_keeps_float32_weights(model):
    wrapper = _wrapper(model)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        out = model(torch.ones(3, 4, device=before.device))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
    # Outside of the context nothing is cast.
    assert model(torch.ones(3, 4, device=before.device)).dtype == torch.float32


def test_gradients_accumulate(model):
    wrapper = _wrapper(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    first = model.weight.detach().clone()
    for step in range(2):
        with wrapper.optim_context(model):
            x = torch.full((1, 4), step + 1., device=first.device)
            loss = model(x).float().sum()
        wrapper.update_params(loss)
        if step == 0:
            assert torch.equal(model.weight, first)
    # d loss / d weight is x; the mean of 1 and 2, times lr 0.1.
    torch.testing.assert_close(model.weight, first - 0.1 * 1.5)


def test_float16_is_refused(model):
    with pytest.raises(ValueError, match='AmpOptimWrapper for float16'):
        _wrapper(model, dtype='float16')


def test_is_built_by_its_prefixed_name(model):
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='mmloc.AutocastOptimWrapper',
             optimizer=torch.optim.SGD(model.parameters(), lr=0.1)))
    assert isinstance(wrapper, AutocastOptimWrapper)
