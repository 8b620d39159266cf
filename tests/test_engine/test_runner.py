# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from torch import nn

from mmloc.engine import Runner


@pytest.mark.parametrize(('launcher', 'sentence'), [
    ('mpi', r'needs a GPU.*dist_train\.sh'),
    ('slurm', r'no SLURM_PROCID and SLURM_NTASKS .*slurm_train\.sh'),
])
def test_launchers_that_start_no_process_on_cpus(
        launcher, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    monkeypatch.delenv('SLURM_NTASKS', raising=False)
    monkeypatch.setenv('SLURM_LOCALID', '0')
    with pytest.raises(ValueError, match=sentence):
        Runner(nn.Linear(1, 1), str(tmp_path), launcher=launcher)


def test_one_process_is_left_to_mmengine(tmp_path):
    model = nn.Sequential(nn.Linear(1, 2), nn.SyncBatchNorm(2))
    runner = Runner(
        model, str(tmp_path), experiment_name='one_process',
        default_hooks=dict(), env_cfg=dict(dist_cfg=dict(backend='nccl')))
    assert not runner.on_cpus
    assert not torch.distributed.is_initialized()
    assert not any(isinstance(module, nn.SyncBatchNorm)
                   for module in runner.model.modules())
