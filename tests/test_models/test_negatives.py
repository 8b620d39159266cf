# Copyright (c) mmloc contributors. All rights reserved.
import torch

from mmloc.models.utils import negatives_log_sum_exp


def make(num: int = 4) -> tuple:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(num, 3, generator=generator, dtype=torch.float64)
    negatives = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    return query.requires_grad_(), negatives


def test_value_and_gradient():
    query, negatives = make()
    logits = query @ negatives / 0.2
    total, largest = negatives_log_sum_exp(query, negatives, 0.2)
    torch.testing.assert_close(total, logits.logsumexp(dim=1))
    torch.testing.assert_close(largest, logits.amax(dim=1))
    assert not largest.requires_grad
    assert torch.autograd.gradcheck(
        lambda x: negatives_log_sum_exp(x, negatives, 0.2)[0], query)


def test_negatives_may_be_overwritten_before_the_backward_pass():
    query, negatives = make()
    logits = query @ negatives.clone() / 0.2
    expected, = torch.autograd.grad(logits.logsumexp(dim=1).sum(), query)
    total, _ = negatives_log_sum_exp(query, negatives, 0.2)
    negatives.zero_()
    grad, = torch.autograd.grad(total.sum(), query)
    torch.testing.assert_close(grad, expected)


def test_no_query():
    query, negatives = make(0)
    total, _ = negatives_log_sum_exp(query, negatives, 0.2)
    total.sum().backward()
    assert query.grad.shape == (0, 3)
