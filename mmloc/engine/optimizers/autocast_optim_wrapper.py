# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmloc.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Mixed precision without loss scaling, on any device.

    mmengine's ``AmpOptimWrapper`` is made for float16 and refuses to run
    without a GPU. bfloat16 has the exponent range of float32, so its
    gradients do not underflow and need no scaler, and CPUs can run it.

    Args:
        dtype (str): 'bfloat16'. Defaults to 'bfloat16'.
        **kwargs: Arguments of :obj:`mmengine.optim.OptimWrapper`.

    Raises:
        ValueError: If ``dtype`` is another one.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs) -> None:
        if dtype != 'bfloat16':
            raise ValueError(
                f"AutocastOptimWrapper runs dtype='bfloat16', got {dtype!r}; "
                'use AmpOptimWrapper for float16, which needs loss scaling')
        super().__init__(**kwargs)
        self.dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter mixed precision for a forward pass.

        Args:
            model (nn.Module): The model about to run.
        """
        # get_device() may name a device with an index, autocast wants a type.
        device = get_device().split(':')[0]
        with super().optim_context(model), autocast(device, self.dtype):
            yield
