# Copyright (c) mmloc contributors. All rights reserved.
import math

import torch
from mmengine.model import ExponentialMovingAverage
from torch import nn

from mmloc.registry import MODELS


@MODELS.register_module()
class MomentumTarget(ExponentialMovingAverage):
    r"""Target (key) network: a moving average of the online network.

    .. math::

        \theta_{target} \leftarrow (1 - momentum) \, \theta_{target} +
            momentum \, \theta_{online}

    The first update copies the online parameters, so that the two networks
    start equal however the online one was initialised or loaded. Only
    parameters are averaged. The running statistics of BatchNorm belong to
    the target's own forward passes, as in MoCo, InsLoc and SoCo; mmengine's
    class would overwrite them with those of the online network in each step.

    With ``end_momentum`` the share of the online network falls along half a
    cosine, in step k of K (BYOL, SoCo):

    .. math::

        momentum_k = end + (momentum - end) \, (\cos(\pi k / K) + 1) / 2

    k is the saved count of updates, so resuming continues the curve exactly.

    Args:
        model (nn.Module): The online network. It is copied.
        momentum (float): Share of the online parameters in each update, in
            (0, 1). This is mmengine's sense: 0.001 here is the "momentum
            0.999" of the InsLoc paper (Sec. 4.1), 0.01 the 0.99 with which
            SoCo starts. Defaults to 0.001.
        interval (int): Number of calls of :meth:`update_parameters` per
            update. With gradient accumulation over n iterations it must be
            n, because the online parameters change every n iterations only.
            Defaults to 1.
        end_momentum (float, optional): Share in step K. 0 is the 1.0 of BYOL
            and SoCo. None keeps ``momentum``. Defaults to None.
        total_steps (int, optional): K, the number of updates of the whole
            training. ``TargetScheduleHook`` sets it where it is None.
            Defaults to None.

    Raises:
        ValueError: If a momentum is outside its range.
    """

    def __init__(self,
                 model: nn.Module,
                 momentum: float = 0.001,
                 interval: int = 1,
                 end_momentum: float | None = None,
                 total_steps: int | None = None) -> None:
        if not 0.0 < momentum < 1.0:
            raise ValueError(
                f'momentum of the target network is {momentum}, but it must '
                'lie in (0, 1) and is the share of the online network: write '
                "0.001 for a paper's 0.999.")
        if end_momentum is not None and not 0.0 <= end_momentum <= momentum:
            raise ValueError(
                f'end_momentum of the target network is {end_momentum}, but '
                f'it must lie in [0, momentum], which is {momentum}: write 0 '
                "for a paper's 1.")
        super().__init__(model, momentum=momentum, interval=interval)
        self._known_steps: tuple | None = None
        self.end_momentum = end_momentum
        self.total_steps = total_steps

    @torch.no_grad()
    def copy_from(self, model: nn.Module) -> None:
        """Copy parameters and buffers of the online network."""
        self.module.load_state_dict(model.state_dict())

    def momentum_at(self, step: int) -> float:
        """Share of the online network in an update.

        Args:
            step (int): k, the number of updates before this one.

        Returns:
            float: The momentum, in mmengine's sense.

        Raises:
            RuntimeError: If there is a schedule and its length is unknown.
        """
        if self.end_momentum is None:
            return self.momentum
        if self.total_steps is None:
            raise RuntimeError(
                'The target network has an end_momentum but no total_steps: '
                "add dict(type='mmloc.TargetScheduleHook') to custom_hooks, "
                'or set model.target.total_steps to the number of updates.')
        progress = min(step / self.total_steps, 1.0)
        return self.end_momentum + (self.momentum - self.end_momentum) * (
            math.cos(math.pi * progress) + 1) / 2

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the target one step towards the online network.

        Args:
            model (nn.Module): The online network, shaped like the one that
                was given to the constructor.
        """
        source = list(model.parameters())
        target = list(self.module.parameters())
        calls = self._count()
        if calls == 0:
            torch._foreach_copy_(target, source)
        elif calls % self.interval == 0:
            torch._foreach_lerp_(target, source,
                                 self.momentum_at(calls // self.interval))
        self.steps += 1
        self._known_steps = self.steps, self.steps._version, calls + 1

    def _count(self) -> int:
        """The value of ``steps``, read from the device only if something
        else than the last update has written it, as resuming does."""
        if self._known_steps is not None:
            steps, version, calls = self._known_steps
            if steps is self.steps and version == steps._version:
                return calls
        return int(self.steps)
