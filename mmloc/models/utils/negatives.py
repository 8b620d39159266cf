# Copyright (c) mmloc contributors. All rights reserved.
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _LogSumExp(torch.autograd.Function):
    """See :func:`negatives_log_sum_exp`."""

    @staticmethod
    def forward(ctx, query: Tensor, negatives: Tensor,
                temperature: float) -> tuple[Tensor, Tensor]:
        logits = (query @ negatives).div_(temperature)
        largest = logits.amax(dim=1)
        total = logits.logsumexp(dim=1)
        ctx.mark_non_differentiable(largest)
        if ctx.needs_input_grad[0]:
            shares = logits.sub_(total[:, None]).exp_()
            ctx.save_for_backward((shares @ negatives.t()).div_(temperature))
        return total, largest

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple:
        slope, = ctx.saved_tensors
        return grad[:, None] * slope, None, None


def negatives_log_sum_exp(query: Tensor, negatives: Tensor,
                          temperature: float) -> tuple[Tensor, Tensor]:
    r"""The part of the negatives in InfoNCE, of which little is remembered.

    .. math::

        \log \sum_i \exp(q \cdot k_i / \tau)

    The gradient is computed at once and kept in place of logits and
    negatives, R x C numbers instead of more than R x Q + C x Q. So a queue
    may be overwritten before the backward pass.

    Args:
        query (Tensor): Shape (R, C).
        negatives (Tensor): Shape (C, Q), Q > 0, without gradient.
        temperature (float): :math:`\tau`.

    Returns:
        Tuple[Tensor, Tensor]: The above, and the largest
        :math:`q \cdot k_i / \tau`, without gradient; both of shape (R, ).
    """
    return _LogSumExp.apply(query, negatives, temperature)
