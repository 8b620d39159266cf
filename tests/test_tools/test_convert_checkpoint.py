# Copyright (c) mmloc contributors. All rights reserved.
import os
import pickle
import runpy
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmloc.utils.cli import EXIT_CODE

TOOL = Path(__file__).parents[2] / 'tools/model_tools/convert_checkpoint.py'


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


def rows(table):
    return [line.split()[1:-1:2] for line in table.splitlines()
            if line.startswith('│')]


@pytest.fixture
def soco(tmp_path):
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


@pytest.fixture
def insloc(tmp_path):
    """The layout of mmcv 0.6."""
    names = ['backbone.conv1.weight', 'neck.lateral_convs.0.conv.weight']
    names += [f'roi_head.bbox_head.{name}.weight' for name in (
        'shared_convs.0.conv', 'shared_fcs.0', 'fc_cls')]
    names += [name.replace('.', '_k.', 1) for name in names]
    state = {name: torch.full((2, 3), float(i))
             for i, name in enumerate(names)}
    state |= dict(queue=torch.zeros(3, 4), queues=torch.ones(4, 3, 4),
                  queue_ptr=torch.tensor([2]))
    meta = dict(epoch=200, iter=1_000_000, mmcv_version='0.6.1',
                config='model = dict()', CLASSES=('a', 'b'))
    checkpoint = dict(meta=meta, state_dict=state, optimizer=dict(state={}))
    torch.save(checkpoint, tmp_path / 'in.pth',
               _use_new_zipfile_serialization=False)
    return checkpoint


def test_soco_there_and_back(run, soco):
    table = run('in.pth ours.pth --to mmloc')
    assert 'method SoCo, architecture C4, epoch 100' in ' '.join(table.split())
    assert ['backbone', '1', '6'] in rows(table)
    ours = CheckpointLoader.load_checkpoint('ours.pth')
    assert list(ours) == ['meta', 'state_dict']
    assert 'roi_head.shared_head.layer4.0.conv1.weight' in ours['state_dict']
    assert ours['state_dict']['target.steps'] == 1

    assert 'encoder_k' in run('ours.pth back.pth --to official')
    back = torch.load('back.pth', weights_only=True)
    assert list(back) == ['model', 'epoch']
    for name, tensor in soco['model'].items():
        assert ('queue' in name
                or torch.equal(back['model'][name], tensor))
    assert set(back['model']) == set(soco['model'])


def test_insloc_there_and_back(run, insloc):
    table = run('in.pth ours.safetensors --to safetensors')
    assert 'method InsLoc, architecture FPN' in ' '.join(table.split())
    assert ['head', '2', '49'] in rows(table)
    run('ours.safetensors ours.pth --to mmloc')
    run('ours.pth back.pth --to official')
    back = torch.load('back.pth', weights_only=True)
    assert list(back) == ['meta', 'state_dict']
    assert set(back['state_dict']) == set(insloc['state_dict'])
    for name, tensor in insloc['state_dict'].items():
        assert torch.equal(back['state_dict'][name], tensor)


@pytest.mark.parametrize('network', ['online', 'target'])
def test_detectors(run, insloc, network):
    root = 'backbone' if network == 'online' else 'backbone_k'
    expected = insloc['state_dict'][f'{root}.conv1.weight']
    table = run(f'in.pth a.pkl --to detectron2 --network {network}')
    assert ['roi_heads', '2', '12'] in rows(table)
    assert 'queues (left out)' in table
    with open('a.pkl', 'rb') as file:
        content = pickle.load(file)
    assert content['__author__'] == 'mmloc'
    assert content['matching_heuristics'] is True
    np.testing.assert_array_equal(
        content['model']['backbone.bottom_up.stem.conv1.weight'], expected)
    # From the file for detectron2 to mmdet, as from the checkpoint itself.
    run('a.pkl a.pth --to mmdet')
    run(f'in.pth b.pth --to mmdet --network {network}')
    states = [torch.load(x, weights_only=True)['state_dict']
              for x in ('a.pth', 'b.pth')]
    assert set(states[0]) == set(states[1])
    for key, tensor in states[0].items():
        assert torch.equal(states[1][key], tensor)


@pytest.mark.usefixtures('soco')
def test_mistakes_are_one_sentence(run):
    run('in.pth ours.pth --to mmloc --steps 5')
    before = Path('ours.pth').read_bytes()
    torch.save(dict(model=dict(fc=torch.ones(1))), 'foreign.pth')
    for command, words in {
        'in.pth ours.pth --to mmloc': "'ours.pth' is there already",
        'in.pth a.pth --to mmloc --steps 0': 'steps is 0',
        'in.pth a.pth --to detectron2': 'let its name end in .pkl',
        'in.pth a.pth --to mmloc --network target': 'picks one: leave it out',
        'none.pth a.pth --to mmloc': "no such file or directory: 'none.pth'",
        'foreign.pth a.pth --to mmloc': 'of no pretraining or detector',
    }.items():
        error = ' '.join(run(command, EXIT_CODE).split())
        assert words in error
        assert 'Traceback' not in error
    assert Path('ours.pth').read_bytes() == before
    assert not Path('a.pth').exists()
    run('in.pth ours.pth --overwrite --to mmloc')
    assert Path('ours.pth').read_bytes() != before


def test_code_needs_trust(run, soco):
    class Command:

        def __reduce__(self):
            return os.mkdir, ('made', )

    torch.save(dict(soco, opt=Command()), 'in.pth')
    assert '--trust' in run('in.pth ours.pth --to mmloc', EXIT_CODE)
    assert not Path('made').exists()
    run('in.pth ours.pth --to mmloc --trust')
    assert Path('made').exists()
    assert Path('ours.pth').exists()
