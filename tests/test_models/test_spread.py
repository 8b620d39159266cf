# Copyright (c) mmloc contributors. All rights reserved.
import math

import pytest
import torch

from mmloc.models.utils import effective_rank, relative_std


def test_std_of_known_vectors():
    axes = torch.eye(5)
    # Each coordinate is 1, -1 and eight times 0.
    torch.testing.assert_close(
        relative_std(torch.cat([axes, -axes])), torch.tensor(1.))
    same = axes[:1].expand(7, -1)
    # Two of four coordinates are 0 and 1 in turn: 0.5, 0.5, 0, 0.
    halves = torch.eye(4)[:2].repeat(3, 1)
    assert relative_std(same) == 0
    assert relative_std(halves) == 0.5
    assert relative_std(torch.stack([halves, -halves])).tolist() == [0.5] * 2


def test_rank_of_known_spectra():
    def rank(*values):
        """Of a matrix (6, 4) with these singular values."""
        u = torch.linalg.qr(torch.randn(6, 4, dtype=torch.float64))[0]
        v = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
        diagonal = torch.tensor(values, dtype=torch.float64).diag()
        return effective_rank(u @ diagonal @ v).item()

    assert rank(2, 2, 2, 2) == pytest.approx(4)
    assert rank(5, 5, 5, 0) == pytest.approx(3)
    assert rank(7, 0, 0, 0) == pytest.approx(1)
    # Shares 3/4 and 1/4: exp(log(4) - 3/4 log(3)).
    assert rank(3, 1, 0, 0) == pytest.approx(4 / 3**0.75)


def test_rank_of_odd_matrices():
    matrices = torch.stack([
        torch.zeros(3, 2),
        torch.ones(3, 2),
        torch.tensor([[1., 0.], [0., math.nan], [0., 1.]])
    ])
    ranks = effective_rank(matrices)
    torch.testing.assert_close(
        ranks, torch.tensor([1., 1., math.nan]), equal_nan=True)
