# Copyright (c) mmloc contributors. All rights reserved.
"""Loading mmengine's training checkpoints with ``weights_only=True``."""
import numpy as np
import torch
from mmengine.logging import HistoryBuffer

#: The statistics of a :class:`HistoryBuffer`, which it stores by reference.
STATISTICS = ('min', 'max', 'current', 'mean')


def _history_statistic(owner: type, name: str):
    """Stand in for ``getattr`` while a checkpoint is read.

    Raises:
        RuntimeError: If anything but a statistic of ``HistoryBuffer`` is
            asked for.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise RuntimeError(
            f'The checkpoint asks for the attribute {name!r} of {owner!r}, '
            f'but only the statistics {STATISTICS} of HistoryBuffer are '
            'allowed: do not load a file that you do not trust.')
    return getattr(owner, name)


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(..., weights_only=True)`` read mmengine checkpoints.

    Besides tensors a checkpoint of :class:`mmengine.runner.Runner` holds the
    message hub: histories of the logged values, which are numpy arrays and
    refer to their statistics through ``getattr``, and numpy scalars. From
    version 2.6 on torch refuses them unless they are allow-listed. Arrays of
    objects and every other attribute stay refused.
    """
    rebuild_array = np.empty(0).__reduce__()[0]
    rebuild_scalar = np.float64(0).__reduce__()[0]
    dtypes = [
        getattr(np.dtypes, name) for name in np.dtypes.__all__
        if name != 'ObjectDType'
    ]
    allowed = [
        HistoryBuffer, np.ndarray, np.dtype, *dtypes,
        (_history_statistic, 'builtins.getattr')
    ]
    for core in ('numpy.core', 'numpy._core'):  # numpy 1 and numpy 2
        allowed += [(rebuild_array, f'{core}.multiarray._reconstruct'),
                    (rebuild_scalar, f'{core}.multiarray.scalar')]
    torch.serialization.add_safe_globals(allowed)
