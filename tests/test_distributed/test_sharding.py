# Copyright (c) mmloc contributors. All rights reserved.
"""Wrappers that split the weights are refused, see docs/distributed.md."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmloc.engine import TargetScheduleHook
from mmloc.models import MomentumTarget


class Learner(nn.Module):

    def __init__(self):
        super().__init__()
        self.online = nn.Linear(4, 4)
        self.target = MomentumTarget(self.online)


def check_fsdp():
    model = FullyShardedDataParallel(
        Learner(), device_id=torch.device('cpu'), use_orig_params=True)
    with pytest.raises(ValueError, match=r'FullySharded.*stage 1 or 2'):
        TargetScheduleHook().before_train(SimpleNamespace(model=model))


def test_fsdp_is_refused_for_a_momentum_target(in_processes):
    in_processes(2, check_fsdp)


def test_weights_that_are_elsewhere_are_refused():
    """As stage 3 of ZeRO leaves them."""
    model = Learner()
    for param in model.parameters():
        param.data = torch.empty(0)
    with pytest.raises(ValueError, match='Learner splits the weights'):
        TargetScheduleHook().before_train(SimpleNamespace(model=model))
