# Copyright (c) mmloc contributors. All rights reserved.
"""What a backward pass left behind, read from the device now or later."""
from collections.abc import Callable, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor
from torch.optim import Optimizer


class BackwardRecord:
    """Whether loss and gradients are finite, on all ranks.

    Args:
        optimizer (Optimizer): Of the parameters with their gradients.
        loss (Tensor, optional): Scalar, the loss.

    Attributes:
        params (list[Tensor]): The parameters that have a gradient.
        finite (Tensor): Scalar of bool on their device.
        iteration (int): Number of the iteration, from 1.
        describe (Callable): Gives a description of the step.
        saved (list[Tensor]): Statistics to restore if the step was bad.
    """

    iteration: int
    describe: Callable[[], dict]
    saved: list[Tensor]

    @torch.no_grad()
    def __init__(self, optimizer: Optimizer, loss: Tensor | None) -> None:
        self.params = [
            p for group in optimizer.param_groups for p in group['params']
            if p.grad is not None
        ]
        self._loss = loss
        # A loss scaler that has found an infinity has dropped them all.
        norms = [torch.zeros(())]
        if self.params:
            norms = torch._foreach_norm([p.grad for p in self.params])
        self._norms = torch.stack([x.to(norms[0]) for x in norms])
        total = torch.linalg.vector_norm(self._norms)
        if loss is not None:
            total = total + loss.to(total.device)
        finite = total.isfinite().to(torch.uint8)
        all_reduce(finite, 'min')
        self.finite = finite.bool()
        self._on_host: Tensor | None = None
        self._arrival: torch.cuda.Event | None = None

    def mark_bad(self) -> None:
        """Note that the optimizer was not called."""
        self.finite = torch.zeros_like(self.finite)

    def begin_to_read(self) -> None:
        """Send the answer to the host, which does not wait for it."""
        if self.finite.is_cuda:
            self._on_host = torch.empty(
                (), dtype=torch.bool, pin_memory=True)
            self._on_host.copy_(self.finite, non_blocking=True)
            self._arrival = torch.cuda.Event()
            self._arrival.record()

    def is_finite(self) -> bool:
        """Read the answer, once it is there."""
        if self._arrival is not None:
            self._arrival.synchronize()
            return bool(self._on_host)
        return bool(self.finite)

    def is_loss_finite(self) -> bool:
        """Tell whether the loss of this rank is finite."""
        return self._loss is None or bool(self._loss.isfinite())

    def bad_gradients(self) -> list[int]:
        """``id`` of each parameter whose gradient is not finite."""
        finite = self._norms.isfinite().tolist()
        return [id(p) for p, good in zip(self.params, finite) if not good]


def copies_of(optimizer: Optimizer,
              params: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Copy all that a step changes on the device.

    Args:
        optimizer (Optimizer): The optimizer.
        params (Sequence[Tensor]): Its parameters that have a gradient, with
            states that earlier steps have made.

    Returns:
        list[tuple[Tensor, Tensor]]: Weights and states, with their copies.
    """
    tensors = [p.detach() for p in params] + [
        value for p in params for value in optimizer.state[p].values()
        if isinstance(value, Tensor) and value.device == p.device
    ]
    return [(tensor, tensor.clone()) for tensor in tensors]
