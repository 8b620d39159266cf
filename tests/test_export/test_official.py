# Copyright (c) mmloc contributors. All rights reserved.
"""Names are those of the reference's tables; the maps of the parity tests,
torchvision's ResNet and plain torch calls say what must be where."""
import pytest
import torch
from torch.nn import functional as F
from torchvision.models import resnet50

from mmloc.engine import compare_state_dicts
from mmloc.export import convert_checkpoint, from_official, to_official

from ..parity import test_insloc_fpn as insloc
from ..parity import test_soco as soco
from ..parity.golden import load_case
from .networks import NETWORKS, build, load, random_state

KINDS = {
    'insloc_fpn': ('InsLoc', 'FPN', 'insloc_r50_fpn'),
    'soco_fpn': ('SoCo', 'FPN', 'soco_r50_fpn'),
    'soco_fpn_star': ('SoCo', 'FPN', 'soco_r50_fpn'),
    'soco_c4': ('SoCo', 'C4', 'soco_r50_c4'),
}
#: In the official networks, read by nothing.
DEAD = {
    'insloc_fpn': {'queue': (128, 8)},
    'soco_c4': {'module.queue': (128, 65536), 'module.queue_ptr': (1, )},
}
#: Of InsLoc, where no table has them.
QUEUE = {'head.queue.features': 'queues', 'head.queue.pointer': 'queue_ptr'}


@pytest.fixture(scope='module')
def states():
    return {name: build(name).state_dict() for name in NETWORKS}


def official_name(name, case):
    """The name that the parity tests give a weight of ours."""
    names, wrapper = (insloc, '') if case == 'insloc_fpn' else (
        soco, 'module.')
    if name in QUEUE:
        return QUEUE[name]
    rename = names.to_reference
    if name.startswith('target.module.'):
        rename, name = names.to_target, name.removeprefix('target.module.')
    return wrapper + rename(name)


def published_names(case):
    """All names in the tables of norms of the reference."""
    names = set()

    def collect(table):
        for key, value in table.items():
            if isinstance(value, dict):
                collect(value)
            elif '.' in key:
                names.add(key)

    collect(load_case(case)[0]['f64'])
    leaves = ('weight', 'bias', 'running_mean', 'running_var',
              'num_batches_tracked')
    names = {name for name in names if name.endswith(leaves)}
    names |= {name.replace('running_mean', 'num_batches_tracked')
              for name in names}
    if case == 'insloc_fpn':  # no norms of the target's parameters
        return names | {name.replace('.', '_k.', 1) for name in names
                        if '_k.' not in name} | set(QUEUE.values())
    return {f'module.{name}' for name in names}


@pytest.mark.parametrize('case', KINDS)
def test_every_published_name_both_ways(case, states):
    method, arch, network = KINDS[case]
    ours = states[network]
    theirs = to_official(ours, method, arch)
    dead = {name: theirs.pop(name)
            for name in set(theirs) & set(DEAD.get(case, ()))}
    assert {k: tuple(v.shape) for k, v in dead.items()} == DEAD.get(case, {})
    assert set(theirs) == published_names(case)
    for name, tensor in ours.items():
        if name != 'target.steps':
            assert theirs[official_name(name, case)] is tensor

    for wrapper in ('module.', ''):
        back = from_official({
            wrapper + name.removeprefix('module.'): x
            for name, x in {**theirs, **dead}.items()
        }, method, arch, steps=7)
        assert back.pop('target.steps') == 7
        assert set(back) == set(ours) - {'target.steps'}
        assert all(back[name] is ours[name] for name in back)


def test_insloc_c4_with_the_names_of_its_converter(states):
    """Known are backbone and shared head, the others are inferred."""
    ours = states['insloc_r50_c4']
    theirs = to_official(ours, 'InsLoc', 'C4')
    for name, tensor in ours.items():
        if name.startswith(('backbone.', 'roi_head.')):
            assert theirs[name] is tensor
        elif name.startswith('target.module.backbone.'):
            twin = name.replace('target.module.backbone.', 'backbone_k.')
            assert theirs[twin] is tensor
    assert theirs['roi_head_k.shared_head.layer4.0.conv1.weight'] is ours[
        'target.module.roi_head.shared_head.layer4.0.conv1.weight']
    assert theirs['roi_head.bbox_head.fc_cls.bias'] is ours[
        'projector.linear2.bias']
    assert from_official(theirs, 'InsLoc', 'C4').keys() == ours.keys()

    # MoCo's classes have one queue of two dimensions.
    queue = torch.randn(128, 8)
    theirs['queue'] = queue
    del theirs['queues']
    back = from_official(theirs, 'InsLoc', 'C4')
    assert torch.equal(back['head.queue.features'], queue[None])

    # Under whatever names its projection may be, a detector does not need it.
    theirs['roi_head.mlp.weight'] = theirs.pop(
        'roi_head.bbox_head.fc_cls.weight')
    with pytest.raises(ValueError, match=r'unknown names: roi_head.mlp.weight,'
                       r' .* are inferred, see .* --to mmdet takes'):
        convert_checkpoint(theirs, 'mmloc')
    converted = convert_checkpoint(theirs, 'mmdet')
    assert 'roi_head.mlp.weight' in converted.left_out
    direct = convert_checkpoint(ours, 'mmdet').state
    assert converted.state.keys() == direct.keys()


@pytest.fixture(scope='module')
def c4(states):
    """Official weights, random in the ResNets, and a model that has them."""
    model = build('soco_r50_c4')
    parts = ('backbone', 'roi_head', 'target.module.backbone',
             'target.module.roi_head')
    official = to_official(random_state(model, parts), 'SoCo', 'C4')
    return official, load(model, from_official(official, 'SoCo', 'C4'))


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
    *layers, layer4, _, _ = resnet.eval().children()
    for layer in layers:
        x = layer(x)
    return x, layer4(x)


@torch.no_grad()
@pytest.mark.parametrize('root', ['encoder', 'encoder_k'])
def test_features_of_c4(root, c4):
    official, model = c4
    net = model if root == 'encoder' else model.target.module
    images = torch.randn(1, 3, 64, 64)
    features = net.backbone(images)[0]
    regions = net.roi_head.shared_head(features)
    for ours, theirs in zip((features, regions),
                            resnet_features(official, root, images)):
        assert theirs.std() > 0.1
        torch.testing.assert_close(ours, theirs)


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
        target + momentum * (online - target))
    assert model.target.steps == 2
    with pytest.raises(ValueError, match=r'steps is 0, .* copy the online'):
        from_official(official, 'SoCo', 'C4', steps=0)


@torch.no_grad()
@pytest.mark.parametrize('method', ['InsLoc', 'SoCo'])
def test_features_of_fpn_head(method):
    """The published heads, written out in plain torch."""
    model = build(f'{method.lower()}_r50_fpn')
    state = random_state(model, ('roi_head', 'projector'))
    official = to_official(state, method, 'FPN')
    load(model, from_official(official, method, 'FPN'))
    if method == 'SoCo':
        conv, norm, fc = 'head.conv{}', 'head.bn{}', ['head.fc1']
        official = {name.removeprefix('module.'): x
                    for name, x in official.items()}
    else:
        root = 'roi_head.bbox_head'
        conv = f'{root}.shared_convs.{{}}.conv'
        norm = f'{root}.shared_convs.{{}}.bn'
        fc = [f'{root}.shared_fcs.0', f'{root}.shared_fcs.1']
    x = regions = torch.randn(2, 256, 7, 7)
    for i in range(4):
        i += method == 'SoCo'
        x = F.conv2d(x, official[conv.format(i) + '.weight'], padding=1)
        x = F.batch_norm(x, *(
            official[f'{norm.format(i)}.{leaf}'] for leaf in (
                'running_mean', 'running_var', 'weight', 'bias'))).relu()
    x = x.flatten(1)
    for name in fc:
        x = F.linear(
            x, official[f'{name}.weight'], official[f'{name}.bias']).relu()
    ours = model.roi_head(regions)
    assert x.std() > 0.1
    torch.testing.assert_close(ours, x)
    if method == 'InsLoc':
        torch.testing.assert_close(
            model.projector(ours),
            F.linear(x, official[f'{root}.fc_cls.weight'],
                     official[f'{root}.fc_cls.bias']))


@pytest.mark.parametrize(('network', 'change', 'words'), [
    ('soco_r50_fpn', lambda x: x.pop('module.head_k.fc1.bias'),
     r'FPN network of SoCo, unknown names: none, missing names: '
     r'head_k\.fc1\.bias;'),
    ('soco_r50_fpn', lambda x: x.pop('module.predictor.bn1.weight'),
     r'missing names: predictor\.bn1\.weight;'),
    ('soco_r50_fpn', lambda x: x.update(mean=1),
     'unknown names: mean, missing names: none;'),
    ('soco_r50_fpn', lambda x: [x.pop(n) for n in list(x) if 'neck' in n],
     r'C4 network .* unknown names: head.bn1.bias, .* and 49 more, missing'),
    ('soco_r50_fpn', lambda x: [x.pop(n) for n in list(x) if '.head' in n],
     r'missing names: head.bn1.weight, .* and 15 more;'),
    ('insloc_r50_fpn', lambda x: x.pop('backbone_k.layer3.0.bn2.bias'),
     r'network of InsLoc, .* missing names: backbone_k.layer3.0.bn2.bias;'),
    ('insloc_r50_fpn', lambda x: x.pop('queues'), 'missing names: queues;'),
    ('insloc_r50_fpn', lambda x: x.update({'rpn_head.a': 1}),
     r'unknown names: rpn_head\.a, missing names: none;'),
], ids=['target', 'predictor', 'unknown', 'no neck', 'no head', 'norm',
        'queue', 'rpn'])
def test_wrong_names(network, change, words, states):
    official = convert_checkpoint(states[network], 'official').state
    change(official)
    with pytest.raises(ValueError, match=words):
        convert_checkpoint(official, 'mmloc')


def test_a_detector_is_taken_whole_or_not(states):
    official = convert_checkpoint(states['insloc_r50_fpn'], 'official').state
    del official['neck.fpn_convs.0.bn.bias'], official['queues']
    with pytest.raises(ValueError, match=r'names: neck\.fpn_convs\.0\.bn'):
        convert_checkpoint(official, 'mmdet')


def test_wrong_network_is_told_at_loading(states):
    """A C4 checkpoint with a config of FPN."""
    c4 = convert_checkpoint(states['soco_r50_c4'], 'official').content
    report = compare_state_dicts(states['soco_r50_fpn'],
                                 convert_checkpoint(c4, 'mmloc').state)
    assert not report.complete
    assert {'backbone', 'projector', 'target'} <= set(report.partial)
    assert not report.modules['neck'].loaded
