# Copyright (c) mmloc contributors. All rights reserved.
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
    the target's own forward passes, as in MoCo and InsLoc; mmengine's class
    would overwrite them with those of the online network in each step.

    Args:
        model (nn.Module): The online network. It is copied.
        momentum (float): Share of the online parameters in each update, in
            (0, 1). This is mmengine's sense: 0.001 here is the "momentum
            0.999" of the InsLoc paper (Sec. 4.1). Defaults to 0.001.
        interval (int): Number of calls of :meth:`update_parameters` per
            update. With gradient accumulation over n iterations it must be
            n, because the online parameters change every n iterations only.
            Defaults to 1.

    Raises:
        ValueError: If ``momentum`` is outside (0, 1).
    """

    def __init__(self,
                 model: nn.Module,
                 momentum: float = 0.001,
                 interval: int = 1) -> None:
        if not 0.0 < momentum < 1.0:
            raise ValueError(
                f'momentum of the target network is {momentum}, but it must '
                'lie in (0, 1) and is the share of the online network: write '
                "0.001 for a paper's 0.999.")
        super().__init__(model, momentum=momentum, interval=interval)

    @torch.no_grad()
    def copy_from(self, model: nn.Module) -> None:
        """Copy parameters and buffers of the online network."""
        self.module.load_state_dict(model.state_dict())

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the target one step towards the online network.

        Args:
            model (nn.Module): The online network, shaped like the one that
                was given to the constructor.
        """
        source = list(model.parameters())
        target = list(self.module.parameters())
        if self.steps == 0:
            torch._foreach_copy_(target, source)
        elif self.steps % self.interval == 0:
            torch._foreach_lerp_(target, source, self.momentum)
        self.steps += 1
