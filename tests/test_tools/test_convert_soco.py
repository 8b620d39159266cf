# Copyright (c) mmloc contributors. All rights reserved.
import os
import runpy
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmloc.utils.cli import EXIT_CODE

TOOL = Path(__file__).parents[2] / 'tools/model_tools/convert_soco.py'


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the tool in a folder; gives what it prints, or its mistake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '80')

    def call(command, code=0):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *command.split()])
        if code == 0:
            runpy.run_path(str(TOOL), run_name='__main__')
        else:
            with pytest.raises(SystemExit) as stop:
                runpy.run_path(str(TOOL), run_name='__main__')
            assert stop.value.code == code
        out = capsys.readouterr()
        return out.out if code == 0 else out.err

    return call


@pytest.fixture
def official(tmp_path):
    """All that an official file holds, with as few weights as are needed."""
    names = ['encoder.conv1.weight', 'encoder.layer4.0.conv1.weight',
             'projector.linear1.weight']
    names += [name.replace('.', '_k.', 1) for name in names]
    names += ['predictor.linear1.weight', 'queue', 'queue_ptr']
    state = {
        f'module.{name}': torch.full((2, 3), float(i))
        for i, name in enumerate(names)
    }
    checkpoint = dict(
        opt=Namespace(model='SoCo_C4', cutout_ratio=(0.1, 0.3)),
        model=state,
        optimizer=dict(
            state={0: dict(momentum_buffer=torch.ones(2))},
            param_groups=[dict(params=[0], lr=0.1)]),
        scheduler=dict(last_epoch=625, after_scheduler=dict(T_max=1)),
        epoch=100,
        amp=dict(loss_scaler0=dict(loss_scale=128.0, unskipped=5)))
    torch.save(checkpoint, tmp_path / 'in.pth')
    return checkpoint


def test_there_and_back(run, official):
    table = run('in.pth ours.pth')
    assert 'network C4, epoch 100, iter 625' in table
    assert ['│', 'backbone', '│', '1', '│', '6', '│'] in [
        line.split() for line in table.splitlines()]
    ours = CheckpointLoader.load_checkpoint('ours.pth')
    assert list(ours) == ['meta', 'state_dict']
    assert 'roi_head.shared_head.layer4.0.conv1.weight' in ours['state_dict']
    assert ours['state_dict']['target.steps'] == 1

    assert 'encoder_k' in run('ours.pth back.pth --to official')
    back = torch.load('back.pth', weights_only=True)
    assert list(back) == ['model', 'epoch']
    for name, tensor in official['model'].items():
        assert ('queue' in name
                or torch.equal(back['model'][name], tensor))
    assert set(back['model']) == set(official['model'])


@pytest.mark.usefixtures('official')
def test_mistakes_are_one_sentence(run):
    run('in.pth ours.pth --steps 5')
    before = Path('ours.pth').read_bytes()
    torch.save(dict(model=dict(fc=torch.ones(1))), 'foreign.pth')
    for command, words in {
        'in.pth ours.pth': "'ours.pth' is there already",
        'in.pth a.pth --to official': 'unknown names: encoder.conv1.weight',
        'in.pth a.pth --steps 0': 'steps is 0',
        'none.pth a.pth': "no such file or directory: 'none.pth'",
        'foreign.pth a.pth': 'these are no weights of SoCo',
    }.items():
        error = ' '.join(run(command, EXIT_CODE).split())
        assert words in error
        assert 'Traceback' not in error
    assert Path('ours.pth').read_bytes() == before
    assert not Path('a.pth').exists()
    run('in.pth ours.pth --overwrite')
    assert Path('ours.pth').read_bytes() != before


def test_code_needs_trust(run, official):
    class Command:

        def __reduce__(self):
            return os.mkdir, ('made', )

    torch.save(dict(official, opt=Command()), 'in.pth')
    assert '--trust' in run('in.pth ours.pth', EXIT_CODE)
    assert not Path('made').exists()
    run('in.pth ours.pth --trust')
    assert Path('made').exists()
    assert Path('ours.pth').exists()
