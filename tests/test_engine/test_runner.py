# Copyright (c) mmloc contributors. All rights reserved.
import gc

import pytest
import torch
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochLoop
from mmengine.runner import Runner as MMEngineRunner
from torch import nn

from mmloc.engine import Runner
from mmloc.engine.hooks import CheckpointHook
from mmloc.engine.runner import _take_ours


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


@pytest.mark.parametrize(('kind', 'taken'), [
    ('CheckpointHook', 'mmloc.CheckpointHook'),
    ('mmengine.CheckpointHook', 'mmloc.CheckpointHook'),
    ('mmengine.hooks.CheckpointHook', 'mmloc.CheckpointHook'),
    (MMEngineCheckpointHook, 'mmloc.CheckpointHook'),
    (MMEngineEpochLoop, 'mmloc.EpochBasedTrainLoop'),
    ('other.CheckpointHook', 'other.CheckpointHook'),
    ('mmengine.hooks.EMAHook', 'mmengine.hooks.EMAHook'),
    (nn.Linear, nn.Linear),
])
def test_parts_are_replaced_however_they_are_named(kind, taken):
    cfg = dict(type=kind)
    _take_ours(cfg, ('CheckpointHook', 'EpochBasedTrainLoop'))
    assert cfg == dict(type=taken)


def test_a_class_of_mmengine_in_a_config_is_replaced(tmp_path):
    runner = Runner(
        nn.Linear(1, 1), str(tmp_path), experiment_name='by_class',
        default_hooks=dict(checkpoint=dict(type=MMEngineCheckpointHook)))
    assert any(type(hook) is CheckpointHook for hook in runner.hooks)


class Compiles(nn.Linear):
    """A model that says what of it to compile."""

    def compile(self, **options):
        self.options = options


@pytest.mark.parametrize(('compile_cfg', 'options'), [
    (True, {}), (dict(mode='default'), dict(mode='default')),
    (False, None), (None, None),
])
def test_a_model_is_asked_to_compile_itself(compile_cfg, options, tmp_path):
    runner = Runner(
        Compiles(1, 1), str(tmp_path), experiment_name=f'ask_{compile_cfg}',
        cfg=dict(compile=compile_cfg))
    runner._maybe_compile('forward')
    assert getattr(runner.model, 'options', None) == options


def test_compile_is_a_bool_or_a_dict(tmp_path):
    runner = Runner(
        Compiles(1, 1), str(tmp_path), experiment_name='compile_text',
        cfg=dict(compile='max-autotune'))
    with pytest.raises(TypeError, match=r"'max-autotune'.*True, False or a"):
        runner._maybe_compile('forward')


def test_training_spares_the_garbage_collector_what_is_there(
        tmp_path, monkeypatch):

    def train(runner):
        assert gc.get_freeze_count() > 100_000
        raise KeyboardInterrupt

    monkeypatch.setattr(MMEngineRunner, 'train', train)
    runner = Runner(
        nn.Linear(1, 1), str(tmp_path), experiment_name='garbage',
        default_hooks=dict())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert gc.get_freeze_count() == 0
