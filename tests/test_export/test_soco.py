# Copyright (c) mmloc contributors. All rights reserved.
"""Names are those of the reference's tables; the maps of the parity tests,
torchvision's ResNet and plain torch calls say what must be where."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.nn import functional as F
from torchvision.models import resnet50

from mmloc.engine import compare_state_dicts
from mmloc.export import convert_soco
from mmloc.export.soco import from_official, to_official
from mmloc.registry import MODELS

from ..parity.golden import load_case, reference_value
from ..parity.test_soco import to_reference, to_target

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
CASES = ['soco_fpn', 'soco_fpn_star', 'soco_c4']
DEAD = {'module.queue': (128, 65536), 'module.queue_ptr': (1, )}


def build(kind):
    """A model without values."""
    cfg = Config.fromfile(CONFIGS / f'soco_r50_{kind}.py').model
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg)


@pytest.fixture(scope='module')
def states():
    return {kind: build(kind).state_dict() for kind in ('fpn', 'c4')}


def official_name(name):
    if name.startswith('target.module.'):
        return 'module.' + to_target(name.removeprefix('target.module.'))
    return 'module.' + to_reference(name)


def published_names(case):
    tables = load_case(case)[0]['f64']
    names = set().union(*(tables[key] for key in (
        'grad_norm', 'target_param_norm_after_update',
        'online_bn_running_norm', 'target_bn_running_norm',
        'num_batches_tracked')))
    return names | {name.replace('running_mean', 'num_batches_tracked')
                    for name in names}


@pytest.mark.parametrize('case', CASES)
def test_every_published_name_both_ways(case, states):
    ours = states['c4' if case == 'soco_c4' else 'fpn']
    theirs = to_official(ours)
    dead = {name: theirs.pop(name) for name in set(theirs) & set(DEAD)}
    assert set(theirs) == {f'module.{x}' for x in published_names(case)}
    for name, tensor in ours.items():
        if name != 'target.steps':
            assert theirs[official_name(name)] is tensor
    if case == 'soco_c4':
        assert {k: tuple(v.shape) for k, v in dead.items()} == DEAD
    else:
        assert not dead

    for wrapper in ('module.', ''):
        back = from_official({
            name.replace('module.', wrapper): x
            for name, x in {**theirs, **dead}.items()
        }, steps=7)
        assert back.pop('target.steps') == 7
        assert set(back) == set(ours) - {'target.steps'}
        assert all(back[name] is ours[name] for name in back)


def load_official(kind, state, filled):
    """Official weights, random in the modules that start so and zero in the
    others, and a model that has them."""
    official = {
        name: reference_value(name.removeprefix('module.'), tuple(x.shape))
        if name.startswith(filled) else torch.zeros_like(x, device='cpu')
        for name, x in to_official(state).items()
    }
    model = build(kind)
    model.load_state_dict(from_official(official), strict=True, assign=True)
    return official, model.eval()


@pytest.fixture(scope='module')
def c4(states):
    return load_official('c4', states['c4'], 'module.encoder')


def resnet_features(official, root, x):
    """Maps C4 and C5 that torchvision makes with an official encoder."""
    with torch.device('meta'):
        resnet = resnet50(weights=None)
    resnet.fc = torch.nn.Identity()
    start = f'module.{root}.'
    resnet.load_state_dict({
        name.removeprefix(start): tensor
        for name, tensor in official.items() if name.startswith(start)
    }, assign=True)
    *layers, layer4, _, _ = resnet.double().eval().children()
    for layer in layers:
        x = layer(x)
    return x, layer4(x)


@torch.no_grad()
@pytest.mark.parametrize('root', ['encoder', 'encoder_k'])
def test_features_of_c4(root, c4):
    official, model = c4
    net = model if root == 'encoder' else model.target.module
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    features = net.backbone.double()(images)[0]
    regions = net.roi_head.shared_head.double()(features)
    for ours, theirs in zip((features, regions),
                            resnet_features(official, root, images)):
        assert theirs.std() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_target_keeps_its_weights(c4):
    """The first update moves it by the schedule and does not copy."""
    official, model = c4
    model.target.total_steps = 10
    momentum = model.target.momentum_at(1)
    online, target = (official[f'module.{name}.conv1.weight'].clone()
                      for name in ('encoder', 'encoder_k'))
    model.target.update_parameters(model.online)
    torch.testing.assert_close(
        model.target.module.backbone.conv1.weight,
        target + momentum * (online - target), check_dtype=False)
    assert model.target.steps == 2
    with pytest.raises(ValueError, match=r'steps is 0, .* copy the online'):
        from_official(official, steps=0)


@torch.no_grad()
def test_features_of_fpn_head(states):
    official, model = load_official('fpn', states['fpn'], 'module.head.')
    weights = {name.removeprefix('module.head.'): tensor.double()
               for name, tensor in official.items() if '.head.' in name}
    x = regions = torch.randn(2, 256, 7, 7, dtype=torch.float64)
    for i in '1234':
        x = F.conv2d(x, weights[f'conv{i}.weight'], padding=1)
        norm = (weights[f'bn{i}.{leaf}'] for leaf in (
            'running_mean', 'running_var', 'weight', 'bias'))
        x = F.batch_norm(x, *norm).relu()
    x = F.linear(x.flatten(1), weights['fc1.weight'], weights['fc1.bias'])
    ours = model.roi_head.double()(regions)
    torch.testing.assert_close(ours, x.relu(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda x: x.pop('module.head_k.fc1.bias'),
     r'FPN network .* unknown names: none, missing names: head_k.fc1.bias;'),
    (lambda x: x.pop('module.predictor.bn1.weight'),
     'missing names: predictor.bn1.weight;'),
    (lambda x: x.update(mean=1), 'unknown names: mean, missing names: none;'),
    (lambda x: [x.pop(name) for name in list(x) if 'neck' in name],
     r'C4 network .* unknown names: head.bn1.bias, .* and 49 more, missing'),
    (lambda x: [x.pop(name) for name in list(x) if '.head' in name],
     r'missing names: head.bn1.weight, .* and 15 more;'),
], ids=['target', 'predictor', 'unknown', 'no neck', 'no head'])
def test_wrong_names(change, words, states):
    official = to_official(states['fpn'])
    change(official)
    with pytest.raises(ValueError, match=words):
        from_official(official)


def test_wrong_network_is_told_at_loading(states):
    """A C4 checkpoint with a config of FPN."""
    c4 = from_official(to_official(states['c4']))
    report = compare_state_dicts(states['fpn'], c4)
    assert not report.complete
    assert {'backbone', 'projector', 'target'} <= set(report.partial)
    assert not report.modules['neck'].loaded


def test_checkpoints(states):
    theirs = dict(model=to_official(states['fpn']), epoch=400,
                  scheduler=dict(last_epoch=250_000), optimizer=dict())
    ours = convert_soco(theirs)
    assert ours['meta']['converted_from'] == dict(
        network='FPN', epoch=400, iter=250_000)
    assert ours['state_dict'].keys() == states['fpn'].keys()
    assert 'optimizer' not in ours
    ours['meta']['epoch'] = 3
    back = convert_soco(ours)
    assert back == dict(model=theirs['model'], epoch=3)
    # Bare weights, as some pass them on.
    assert convert_soco(theirs['model'], steps=5)['state_dict'][
        'target.steps'] == 5
    with pytest.raises(ValueError, match='not the weights of a'):
        convert_soco(theirs, to='official')
    with pytest.raises(ValueError, match='and not with fc, layer1; give a'):
        convert_soco({'fc.bias': 1, 'layer1.0.conv1.weight': 1})
    with pytest.raises(ValueError, match='the weights are a Linear, but'):
        convert_soco(dict(model=torch.nn.Linear(1, 1)))
