# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from mmloc.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling around SGD, as SoCo uses it.

    For a parameter :math:`p` with gradient :math:`g`, decay :math:`\lambda`
    and trust coefficient :math:`\eta`:

    .. math::

        g &\leftarrow g + \lambda p \\
        g &\leftarrow g \, \eta \, |p| / (|g| + \epsilon) \\
        b &\leftarrow \mu \, b + g \\
        p &\leftarrow p - lr \, b

    The second line is left out where :math:`|p|` or :math:`|g|` is 0. For
    parameters of one dimension (biases, norm layers) the first two are left
    out. mmpretrain's ``LARS`` adds the two norms instead of measuring the
    decayed gradient and scales by the learning rate inside the momentum, so
    its steps differ; besides, it waits for the device at each parameter.
    Here the tensors of a group are updated by a few kernels.

    Args:
        params (Iterable): Parameters or parameter groups.
        lr (float): Learning rate. SoCo: 1.0 for a batch of 256.
        momentum (float): :math:`\mu`. Defaults to 0.9.
        weight_decay (float): :math:`\lambda`. Defaults to 0.
        trust_coefficient (float): :math:`\eta`. Defaults to 0.001.
        eps (float): :math:`\epsilon`. Defaults to 1e-8.

    Raises:
        ValueError: If an argument is negative.
    """

    def __init__(self,
                 params: Iterable,
                 lr: float,
                 momentum: float = 0.9,
                 weight_decay: float = 0.,
                 trust_coefficient: float = 0.001,
                 eps: float = 1e-8) -> None:
        defaults = dict(
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            trust_coefficient=trust_coefficient,
            eps=eps)
        for name, value in defaults.items():
            if value < 0:
                raise ValueError(
                    f'{name} of LARS is {value}, but it must not be negative.')
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Tensor | None:
        """Update the parameters.

        Args:
            closure (Callable, optional): Computes the loss anew. Defaults to
                None.

        Returns:
            Tensor, optional: The loss that ``closure`` returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            for adapted in (True, False):
                subset = [p for p in params if (p.ndim > 1) == adapted]
                if subset:
                    grads = [p.grad for p in subset]
                    if adapted:
                        grads = self._adapt(subset, grads, group)
                    self._descend(subset, grads, group)
        return loss

    @staticmethod
    def _adapt(params: list[Tensor], grads: list[Tensor],
               group: dict) -> list[Tensor]:
        """Decay, then scale by the ratio of the norms."""
        grads = torch._foreach_add(
            grads, params, alpha=group['weight_decay'])
        param_norms = torch.stack(torch._foreach_norm(params))
        grad_norms = torch.stack(torch._foreach_norm(grads))
        ratios = (group['trust_coefficient'] * param_norms /
                  (grad_norms + group['eps']))
        ratios = ratios.where((param_norms > 0) & (grad_norms > 0), 1)
        torch._foreach_mul_(grads, list(ratios.unbind()))
        return grads

    def _descend(self, params: list[Tensor], grads: list[Tensor],
                 group: dict) -> None:
        """A step of SGD with momentum."""
        buffers = []
        for param in params:
            state = self.state[param]
            if 'momentum_buffer' not in state:
                state['momentum_buffer'] = torch.zeros_like(param)
            buffers.append(state['momentum_buffer'])
        torch._foreach_mul_(buffers, group['momentum'])
        torch._foreach_add_(buffers, grads)
        torch._foreach_add_(params, buffers, alpha=-group['lr'])
