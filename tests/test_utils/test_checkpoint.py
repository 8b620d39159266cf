# Copyright (c) mmloc contributors. All rights reserved.
import builtins
import os
import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

import mmloc  # noqa: F401


class Ones(Dataset):
    metainfo = dict()

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return dict(inputs=torch.full((2, ), float(index)))


class OneLayer(BaseModel):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.layer(torch.stack(inputs)).square().mean())


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def make_runner(work_dir, epochs, **kwargs):
    return Runner(
        model=kwargs.pop('model', OneLayer()),
        work_dir=str(work_dir),
        experiment_name=f'{work_dir.name}-{epochs}-{len(kwargs)}',
        train_dataloader=dict(
            dataset=Ones(),
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=4),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1)),
        log_level='ERROR',
        **kwargs)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A runner that has trained two iterations, and its checkpoint."""
    work_dir = tmp_path_factory.mktemp('trained')
    torch.manual_seed(0)
    runner = make_runner(work_dir, epochs=1)
    runner.train()
    return runner, work_dir / 'epoch_1.pth'


def test_torch_refuses_them_by_itself(trained):
    """When this fails, the allow-list can go."""
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with pytest.raises(pickle.UnpicklingError, match=r'getattr|History'):
            torch.load(trained[1], weights_only=True)
    finally:
        torch.serialization.add_safe_globals(allowed)
    assert torch.load(trained[1], weights_only=True)['meta']['iter'] == 2


def test_resume_continues(trained, tmp_path):
    runner, path = trained
    whole = make_runner(tmp_path, epochs=2)
    whole.model.load_state_dict(runner.model.state_dict())
    resumed = make_runner(
        tmp_path, epochs=2, load_from=str(path), resume=True)
    resumed.train()
    history, _ = resumed.message_hub.get_scalar('train/loss').data
    first, _ = runner.message_hub.get_scalar('train/loss').data
    assert len(history) == 4
    assert history[:2].tolist() == first.tolist()
    assert resumed.iter == 4


def test_load_from_and_init_cfg(trained, tmp_path):
    runner, path = trained
    wanted = runner.model.layer.weight
    loaded = make_runner(tmp_path, epochs=1, load_from=str(path))
    loaded.load_or_resume()
    assert torch.equal(loaded.model.layer.weight, wanted)
    model = OneLayer(
        init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert torch.equal(model.layer.weight, wanted)


@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
def test_files_of_both_numpy_generations(core, tmp_path):
    path = tmp_path / 'history.pth'
    torch.save(
        HistoryBuffer([1.0, 3.0], [1, 1]), path,
        _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for other in (b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n'):
        content = content.replace(other, f'c{core}.multiarray\n'.encode())
    path.write_bytes(content)
    assert torch.load(path, weights_only=True).mean() == 2.0


@pytest.mark.parametrize('call', [
    Call(builtins.eval, '1 + 1'),
    Call(os.system, 'true'),
    Call(builtins.getattr, HistoryBuffer, '__init__'),
    Call(builtins.getattr, torch.Tensor, 'min'),
], ids=['eval', 'system', 'method', 'other class'])
def test_foreign_code_is_refused(call, tmp_path):
    path = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict=dict(), message_hub=call), path)
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        torch.load(path, weights_only=True)
