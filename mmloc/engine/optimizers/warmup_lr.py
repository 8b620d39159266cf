# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.optim import LinearLR

from mmloc.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupLR(LinearLR):
    """mmengine's ``LinearLR`` that reaches its end in step ``end``.

    ``LinearLR`` arrives one step earlier, in ``end - 1``, and its slope is
    that much steeper. The published schedule of SoCo is still on its way up
    in the last step before ``end``.

    Args:
        optimizer (Optimizer or OptimWrapper): As in mmengine.
        *args: Of :class:`mmengine.optim.LinearLR`.
        end (int): Step in which ``end_factor`` is reached.
        **kwargs: Of :class:`mmengine.optim.LinearLR`.
    """

    def __init__(self, optimizer, *args, end: int, **kwargs) -> None:
        # The last update, that of step `end`, needs the parent to stop later.
        super().__init__(optimizer, *args, end=end + 1, **kwargs)
