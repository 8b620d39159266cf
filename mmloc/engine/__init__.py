# Copyright (c) mmloc contributors. All rights reserved.
from .hooks import *  # noqa: F403
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optimizers import *  # noqa: F403
from .runner import Runner
from .transfer import TransferReport, compare_state_dicts

__all__ = [
    'EpochBasedTrainLoop', 'IterBasedTrainLoop', 'Runner', 'TransferReport',
    'compare_state_dicts'
]
