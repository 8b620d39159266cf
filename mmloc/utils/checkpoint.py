# Copyright (c) mmloc contributors. All rights reserved.
"""Loading mmengine's training checkpoints with ``weights_only=True``."""
import pickle
import re

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .pickled_arrays import STAND_INS, refusal

#: The statistics of a :class:`HistoryBuffer`, which it stores by reference.
STATISTICS = ('min', 'max', 'current', 'mean')


class _History(HistoryBuffer):
    """Stand in for :class:`HistoryBuffer` while a checkpoint is read."""

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update({
            name: np.array(value) if isinstance(value, np.ndarray) else value
            for name, value in state.items()
        })
        self.__class__ = HistoryBuffer


def _history_statistic(owner: type, name: str):
    """Stand in for ``getattr`` while a checkpoint is read.

    Raises:
        pickle.UnpicklingError: If anything but a statistic of
            ``HistoryBuffer`` is asked for.
    """
    if owner is not _History or name not in STATISTICS:
        raise refusal('builtins.getattr', f'takes {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(..., weights_only=True)`` read mmengine checkpoints.

    Besides tensors a checkpoint of :class:`mmengine.runner.Runner` holds the
    message hub: histories of the logged values, which are numpy arrays and
    refer to their statistics through ``getattr``, and numpy scalars. From
    version 2.6 on torch refuses them unless they are allow-listed. Here
    stand-ins are, which no file can make to build anything else: arrays of
    objects and every other attribute stay refused.
    """
    stand_ins = {
        **STAND_INS,
        f'{HistoryBuffer.__module__}.HistoryBuffer': _History,
        'builtins.getattr': _history_statistic,
    }
    torch.serialization.add_safe_globals(
        [(stand_in, name) for name, stand_in in stand_ins.items()])


def explain_refusal(error: Exception) -> str | None:
    """Tell a file that asks for more than weights from a broken one.

    Args:
        error (Exception): What was raised while the file was read.

    Returns:
        str | None: What the file does and why it was refused, to go on from
        its name; None if it was not refused.
    """
    found = re.search(r'GLOBAL ([\w.]+)', str(error))
    if not (found and isinstance(error, pickle.UnpicklingError)):
        return None
    return (f'asks for {found[1]} besides weights, and a file that may call '
            'functions can do anything to this computer while it is read')
