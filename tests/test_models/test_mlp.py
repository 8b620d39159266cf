# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.models import MLP


@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN1d')])
def test_layers_in_order(norm_cfg):
    torch.manual_seed(0)
    mlp = MLP(3, 5, 2, norm_cfg)
    x = torch.randn(4, 3)
    hidden = mlp.linear1(x)
    if norm_cfg:
        hidden = (hidden - hidden.mean(0)) / (
            hidden.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(mlp(x), mlp.linear2(hidden.relu()))


def test_no_regions():
    mlp = MLP(3, 5, 2, dict(type='BN1d'))
    assert mlp(torch.zeros(0, 3)).shape == (0, 2)


def test_parts_are_normalised_each_by_itself():
    torch.manual_seed(0)
    mlp, alone = (MLP(3, 5, 2, dict(type='BN1d')).double() for _ in range(2))
    alone.load_state_dict(mlp.state_dict())
    parts = torch.randn(9, 3).double().split([4, 0, 2, 3])
    joined = mlp.forward_parts(parts)
    torch.testing.assert_close(joined, [alone(part) for part in parts])
    torch.testing.assert_close(mlp.state_dict(), alone.state_dict())
