# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.export import (
    Origin,
    check_ending,
    convert_checkpoint,
    from_official,
    recognize,
    to_official,
)


def pretraining(method='SoCo', arch='C4'):
    """A checkpoint of mmloc with a few of its weights."""
    names = ['backbone.conv1.weight', 'backbone.layer1.0.bn1.weight',
             'projector.linear1.weight']
    if arch == 'C4':
        names += ['roi_head.shared_head.layer4.0.conv1.weight']
    else:
        names += ['neck.fpn_convs.0.conv.weight', 'backbone.layer4.a.weight']
    names += [f'target.module.{name}' for name in names]
    if method == 'SoCo':
        names += ['predictor.linear1.weight']
    else:
        names += ['head.queue.features', 'head.queue.pointer']
        names = [name.replace('projector.linear1', 'projector.linear2')
                 for name in names]
    state = {name: torch.full((2, 3), float(i))
             for i, name in enumerate(names)}
    return state | {'target.steps': torch.tensor(9)}


@pytest.mark.parametrize('method', ['SoCo', 'InsLoc'])
@pytest.mark.parametrize('arch', ['FPN', 'C4'])
def test_origins(method, arch):
    ours = pretraining(method, arch)
    assert recognize(ours) == Origin('mmloc', method, arch)
    detector = convert_checkpoint(ours, 'mmdet').state
    assert recognize(detector) == Origin('mmdet', None, arch)
    detectron2 = convert_checkpoint(detector, 'detectron2').state
    assert recognize(detectron2) == Origin('detectron2', None, arch)
    wrapped = {f'module.{name}': x for name, x in ours.items()}
    assert recognize(wrapped) == Origin('mmloc', method, arch)
    first = 'encoder' if method == 'SoCo' else 'backbone'
    official = {f'module.{first}.conv1.weight': 1, f'{first}_k.bn1.bias': 1}
    if arch == 'FPN':
        official['module.neck.a'] = 1
    assert recognize(official) == Origin('official', method, arch)


def test_checkpoints_of_soco():
    ours = pretraining()
    theirs = dict(model=to_official(ours, 'SoCo', 'C4'), epoch=400,
                  scheduler=dict(last_epoch=250_000), optimizer=dict())
    converted = convert_checkpoint(theirs, 'mmloc')
    assert converted.content == dict(meta=converted.meta,
                                     state_dict=converted.state)
    assert converted.meta['converted_from'] == dict(
        project='official', method='SoCo', architecture='C4', epoch=400,
        iter=250_000)
    assert converted.state.keys() == ours.keys()
    assert converted.state['target.steps'] == 1
    checkpoint = dict(meta=dict(epoch=3, iter=5), state_dict=ours)
    back = convert_checkpoint(checkpoint, 'official').content
    assert (back.keys(), back['epoch']) == ({'model', 'epoch'}, 3)
    assert back['model'].keys() == theirs['model'].keys()
    # Bare weights, as some pass them on.
    bare = convert_checkpoint(theirs['model'], 'mmloc', steps=5)
    assert bare.state['target.steps'] == 5


def test_checkpoints_of_insloc_are_laid_out_as_by_mmcv():
    ours = pretraining('InsLoc')
    ours['projector.linear1.bias'] = ours[
        'target.module.projector.linear1.bias'] = torch.ones(2)
    checkpoint = dict(meta=dict(epoch=3, iter=5, cfg=''), state_dict=ours,
                      optimizer=dict())
    theirs = convert_checkpoint(checkpoint, 'official').content
    assert theirs.keys() == {'meta', 'state_dict'}
    assert theirs['meta'] == dict(epoch=3, iter=5)
    assert not any(x.startswith('module.') for x in theirs['state_dict'])
    back = convert_checkpoint(theirs, 'mmloc')
    assert back.meta['converted_from'] == dict(
        project='official', method='InsLoc', architecture='C4', epoch=3,
        iter=5)
    expected = from_official(theirs['state_dict'], 'InsLoc', 'C4')
    assert back.state.keys() == expected.keys() == ours.keys()
    assert 'optimizer' not in back.content


@pytest.mark.parametrize('project', ['mmloc', 'official'])
def test_either_network(project):
    state = ours = pretraining()
    if project == 'official':
        state = to_official(ours, 'SoCo', 'C4')
    for network, root in (('online', ''), ('target', 'target.module.')):
        for to, name in (('mmdet', 'backbone.conv1.weight'),
                         ('detectron2', 'backbone.stem.conv1.weight'),
                         ('torchvision', 'conv1.weight'),
                         ('timm', 'conv1.weight')):
            converted = convert_checkpoint(state, to, network)
            assert len(converted.state) == 3
            assert converted.state[name] is ours[
                f'{root}backbone.conv1.weight']
            assert converted.meta['converted_from']['network'] == network
            assert len(converted.left_out) == len(state) - 3


@pytest.mark.parametrize(('source', 'options', 'words'), [
    ('mmdet', dict(to='mmloc'), 'mmdet has the weights of one network, but '
     r'--to mmloc needs .* take --to mmdet, which configs load'),
    ('mmdet', dict(to='timm', network='target'), '--network target needs'),
    ('mmloc', dict(to='mmloc', network='target'), 'picks one: leave it out'),
    ('mmloc', dict(to='safetensors', steps=3), 'mmloc is converted to safe'),
    ('official', dict(to='mmdet', steps=3), 'is converted to mmdet: leave'),
    ('official', dict(to='mmloc', steps=0), 'steps is 0, but it must be 1'),
    ('mmloc', dict(to='onnx'), "to is 'onnx' .* but the choices are mmloc,"),
    ('torchvision', dict(to='mmdet'), 'names start with bn1, conv1, fc, but '
     r'with backbone .* in what can be converted; give such'),
    ('module', dict(to='mmdet'), 'the weights are a Linear, but a dict of'),
])
def test_what_cannot_be_converted(source, options, words):
    ours = pretraining()
    checkpoint = {
        'mmloc': ours,
        'official': to_official(ours, 'SoCo', 'C4'),
        'mmdet': convert_checkpoint(ours, 'mmdet').content,
        'torchvision': {'conv1.weight': 1, 'bn1.bias': 1, 'fc.bias': 1},
        'module': dict(model=torch.nn.Linear(1, 1)),
    }[source]
    with pytest.raises(ValueError, match=words):
        convert_checkpoint(checkpoint, **options)


def test_endings():
    for to, good, bad in (('detectron2', 'a.pkl', 'a.pth'),
                          ('safetensors', 'a.b.safetensors', 'a.pth'),
                          ('official', 'a.pth', 'a.safetensors'),
                          ('mmdet', 'a', 'a.pkl'),
                          ('timm', 'a.safetensors', 'a.PKL')):
        check_ending(good, to)
        with pytest.raises(ValueError, match=f'for {to}: let its name end'):
            check_ending(bad, to)
