# Copyright (c) mmloc contributors. All rights reserved.
"""Features before and after, and detectron2's names by its own structure."""
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from torchvision.models import resnet50

from mmloc.export import (
    convert_checkpoint,
    read_checkpoint,
    to_detectron2,
    to_torchvision,
    write_checkpoint,
)

from .networks import (
    CONFIGS,
    NETWORKS,
    build,
    build_config,
    load,
    random_state,
)

ROOTS = {'online': '', 'target': 'target.module.'}


@pytest.fixture(scope='module')
def states():
    return {name: build(name).state_dict() for name in NETWORKS}


def detectron2_shapes(arch):
    """What detectron2's R50-FPN (4conv1fc) and R50-C4 have, by its modules:
    BasicStem, BottleneckBlock, FPN, FastRCNNConvFCHead, Res5ROIHeads; each
    convolution holds its norm."""
    shapes = {}

    def conv(name, *weight):
        shapes[f'{name}.weight'] = weight
        for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{name}.norm.{leaf}'] = weight[:1]
        shapes[f'{name}.norm.num_batches_tracked'] = ()

    fpn = arch == 'fpn'
    bottom = 'backbone.bottom_up' if fpn else 'backbone'
    conv(f'{bottom}.stem.conv1', 64, 3, 7, 7)
    last = 64
    for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        root = bottom if fpn or stage < 5 else 'roi_heads'
        width, out = 2**(stage + 4), 2**(stage + 6)
        for i in range(blocks):
            block = f'{root}.res{stage}.{i}'
            if i == 0:
                conv(f'{block}.shortcut', out, last, 1, 1)
            conv(f'{block}.conv1', width, last, 1, 1)
            conv(f'{block}.conv2', width, width, 3, 3)
            conv(f'{block}.conv3', out, width, 1, 1)
            last = out
        if fpn:
            conv(f'backbone.fpn_lateral{stage}', 256, out, 1, 1)
            conv(f'backbone.fpn_output{stage}', 256, 256, 3, 3)
    if fpn:
        for i in '1234':
            conv(f'roi_heads.box_head.conv{i}', 256, 256, 3, 3)
        shapes['roi_heads.box_head.fc1.weight'] = (1024, 12544)
        shapes['roi_heads.box_head.fc1.bias'] = (1024, )
    return shapes


#: Of each kind of module one, in FPN and in C4.
PLACES = {
    'fpn': {
        'backbone.bottom_up.stem.conv1.norm.bias': 'backbone.bn1.bias',
        'backbone.bottom_up.res4.5.conv3.norm.weight':
        'backbone.layer3.5.bn3.weight',
        'backbone.bottom_up.res5.0.shortcut.weight':
        'backbone.layer4.0.downsample.0.weight',
        'backbone.fpn_lateral2.norm.bias': 'neck.lateral_convs.0.bn.bias',
        'backbone.fpn_output5.weight': 'neck.fpn_convs.3.conv.weight',
        'roi_heads.box_head.conv4.norm.bias':
        'roi_head.bbox_head.shared_convs.3.bn.bias',
        'roi_heads.box_head.fc1.bias': 'roi_head.bbox_head.shared_fcs.0.bias',
    },
    'c4': {
        'backbone.stem.conv1.weight': 'backbone.conv1.weight',
        'backbone.res2.0.shortcut.weight':
        'backbone.layer1.0.downsample.0.weight',
        'roi_heads.res5.0.shortcut.norm.running_var':
        'roi_head.shared_head.layer4.0.downsample.1.running_var',
        'roi_heads.res5.2.conv2.weight':
        'roi_head.shared_head.layer4.2.conv2.weight',
    },
}


@pytest.mark.parametrize('network', ROOTS)
@pytest.mark.parametrize('name', NETWORKS)
def test_detectron2_has_its_own_names_and_shapes(name, network, states):
    state, arch = states[name], name.rpartition('_')[2]
    converted = convert_checkpoint(state, 'detectron2', network)
    wanted = detectron2_shapes(arch)
    if name == 'insloc_r50_fpn':
        # Its published converter passes the unused layer on by this name.
        wanted['roi_head.bbox_head.shared_fcs.1.weight'] = (1024, 1024)
        wanted['roi_head.bbox_head.shared_fcs.1.bias'] = (1024, )
    assert wanted == {
        key: tuple(x.shape) for key, x in converted.state.items()}
    for theirs, ours in PLACES[arch].items():
        assert converted.state[theirs] is state[ROOTS[network] + ours]
    lost = set(converted.left_out)
    parts = ('backbone.', 'neck.', 'roi_head.')
    assert not any(
        key.startswith(tuple(ROOTS[network] + x for x in parts))
        for key in lost)
    assert len(lost) + len(converted.state) == len(state)


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('form', ['whole', 'endings'])
def test_detectron2_and_back(name, form, states):
    """Names may also lack the module paths, as in SoCo's own files."""
    content = convert_checkpoint(states[name], 'detectron2').content
    assert content['matching_heuristics'] is True
    assert content['__author__']
    if form == 'endings':
        paths = ('backbone.', 'bottom_up.', 'roi_heads.')
        for path in paths:
            content['model'] = {key.removeprefix(path): x
                                for key, x in content['model'].items()}
    back = convert_checkpoint(content, 'mmdet')
    assert (back.origin.project, back.left_out) == ('detectron2', [])
    direct = convert_checkpoint(states[name], 'mmdet').state
    assert back.state.keys() == direct.keys()
    assert all(back.state[key] is direct[key] for key in direct)


@pytest.fixture(scope='module', params=['fpn', 'c4'])
def pretrained(request):
    """FPN or C4, a network with values in what a detector has, and these."""
    model = build(f'insloc_r50_{request.param}')
    state = random_state(model, ('backbone', 'neck', 'roi_head'))
    return request.param, load(model, state), state


@torch.no_grad()
def pyramid(net, images):
    """Maps of a pretraining network or a detector."""
    feats = net.backbone(images)
    return net.neck(feats) if getattr(net, 'neck', None) else feats


@torch.no_grad()
def regions_of(net, arch):
    """What the RoI head's pretrained layers make of pooled regions."""
    torch.manual_seed(1)
    if arch == 'c4':
        x = torch.randn(2, 1024, 4, 4)
        return net.roi_head.shared_head.layer4(x)
    x = torch.randn(2, 256, 7, 7)
    for conv in net.roi_head.bbox_head.shared_convs:
        x = conv(x)
    return net.roi_head.bbox_head.shared_fcs[0](x.flatten(1))


@torch.no_grad()
@pytest.mark.parametrize('to', ['torchvision', 'timm'])
def test_resnet_has_the_same_features(pretrained, to, tmp_path):
    arch, model, state = pretrained
    path = tmp_path / ('a.pth' if to == 'torchvision' else 'a.safetensors')
    write_checkpoint(convert_checkpoint(state, to).content, str(path))
    if to == 'timm':
        timm = pytest.importorskip('timm')
        resnet = timm.create_model('resnet50', num_classes=0,
                                   checkpoint_path=str(path))
    else:
        with torch.device('meta'):
            resnet = resnet50()
        resnet.fc = torch.nn.Identity()
        weights = torch.load(path, weights_only=True)
        resnet.load_state_dict(weights, assign=True)
    images = torch.randn(1, 3, 64, 64)
    x = resnet.maxpool(resnet.eval().bn1(resnet.conv1(images)).relu())
    ours = model.backbone(images)
    if arch == 'c4':
        ours += (model.roi_head.shared_head(ours[-1]), )
    theirs = []
    for i in range(1, 5):
        x = getattr(resnet, f'layer{i}')(x)
        theirs.append(x)
    for mine, x in zip(reversed(ours), reversed(theirs)):
        assert x.std() > 0.1
        torch.testing.assert_close(mine, x)


def test_detector_of_mmdet_has_the_same_features(pretrained, tmp_path):
    arch, model, state = pretrained
    path = str(tmp_path / 'a.pth')
    write_checkpoint(convert_checkpoint(state, 'mmdet').content, path)
    cfg = Config.fromfile(CONFIGS / 'insloc/downstream' /
                          f'mask-rcnn_r50-insloc-pre_{arch}_1x_coco.py')
    detector = build_config(cfg.model)
    values = {key: torch.zeros_like(x, device='cpu')
              for key, x in detector.state_dict().items()}
    load(detector, values)
    load_checkpoint(detector, path)
    images = torch.randn(1, 3, 64, 64)
    ours = *pyramid(model, images), regions_of(model, arch)
    # FPN's fifth map in a detector is pooled from the fourth.
    theirs = *pyramid(detector, images)[:4], regions_of(detector, arch)
    for mine, x in zip(ours, theirs, strict=True):
        assert x.std() > 0.1
        torch.testing.assert_close(mine, x)


def test_a_trained_detector(states):
    state = convert_checkpoint(states['insloc_r50_fpn'], 'mmdet').state
    more = {name: torch.zeros(1) for name in (
        'rpn_head.rpn_conv.weight', 'roi_head.bbox_head.fc_cls.weight')}
    converted = convert_checkpoint(dict(state_dict=state | more), 'timm')
    assert set(more) < set(converted.left_out)
    assert 'layer4.2.bn3.running_var' in converted.state
    converted = convert_checkpoint(state | more, 'detectron2')
    assert set(converted.left_out) == set(more)


def test_what_has_no_place_is_refused(states):
    state = states['insloc_r50_fpn']
    deep = {'backbone.stem.0.weight': torch.zeros(1)} | state
    for to in ('detectron2', 'torchvision'):
        with pytest.raises(ValueError, match=r'backbone.stem.0.weight have no '
                           'place in the ResNet'):
            convert_checkpoint(deep, to)
    short = {k: v for k, v in state.items() if 'backbone.layer4' not in k}
    with pytest.raises(ValueError, match='no last stage of a ResNet'):
        to_torchvision(short)
    with pytest.raises(ValueError, match=r'neck\.p6\.weight have no place'):
        to_detectron2({'neck.p6.weight': torch.zeros(1)} | state)


def test_files_of_detectron2_are_read_as_they_are_written(tmp_path):
    state = {
        'backbone.conv1.weight': torch.randn(2, 3).t(),
        'backbone.bn1.num_batches_tracked': torch.tensor(7),
        'backbone.layer1.0.bn1.bias': torch.randn(4).half(),
    }
    path = str(tmp_path / 'a.pkl')
    write_checkpoint(convert_checkpoint(state, 'detectron2').content, path)
    back = convert_checkpoint(read_checkpoint(path), 'mmdet').state
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        assert tensor.dtype == back[name].dtype
        assert torch.equal(tensor, back[name])
