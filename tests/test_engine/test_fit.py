# Copyright (c) mmloc contributors. All rights reserved.
"""Fitted weights compute what they computed where they come from."""
import pytest
import torch
import torchvision
from mmdet.models.backbones import ResNet
from mmdet.models.necks import FPN
from mmdet.models.roi_heads.shared_heads import ResLayer
from torch import nn

from mmloc.engine.fit import fit_checkpoint

CHANNELS = [4, 6, 8, 10]
NORM = dict(type='BN')


class _Network(nn.Module):

    def __init__(self, backbone=None, neck=None, shared_head=None):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.roi_head = nn.Module()
        self.roi_head.shared_head = shared_head


def _shuffled(network):
    """With weights and statistics that differ from layer to layer."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.normal_(std=0.1, generator=generator)
            if name.endswith('running_var'):
                value.abs_().add_(0.5)
    return network.eval()


def _fit(model, state):
    """Load as a runner does, from fitted names; return what is missing."""
    fitted, notes = fit_checkpoint(state, model.state_dict())
    missing, unexpected = model.load_state_dict(fitted, strict=False)
    model.eval()
    return missing, unexpected, notes


def _resnet(stages):
    return ResNet(18, num_stages=stages, strides=(1, 2, 2, 2)[:stages],
                  dilations=(1, ) * stages, out_indices=(stages - 1, ))


@pytest.fixture(scope='module')
def whole():
    return _shuffled(_Network(backbone=_resnet(4)))


@pytest.fixture(scope='module')
def split(whole):
    """The same network with C4's shared head."""
    model = _Network(backbone=_resnet(3), shared_head=ResLayer(18))
    missing, unexpected, notes = _fit(model, whole.state_dict())
    assert not missing
    assert not unexpected
    assert notes == [
        'backbone.layer4.* is taken as roi_head.shared_head.layer4.*']
    return model


@pytest.mark.slow
@torch.no_grad()
def test_a_backbone_to_c4_and_back(whole, split):
    image = torch.rand(1, 3, 64, 64)
    c5, = whole.backbone(image)
    torch.testing.assert_close(
        split.roi_head.shared_head(*split.backbone(image)), c5)
    again = _Network(backbone=_resnet(4))
    assert _fit(again, split.state_dict())[:2] == ([], [])
    torch.testing.assert_close(again.backbone(image)[0], c5)


@torch.no_grad()
def test_a_torchvision_network_alone():
    theirs = _shuffled(torchvision.models.resnet18())
    model = _Network(backbone=_resnet(3), shared_head=ResLayer(18))
    missing, unexpected, notes = _fit(model, theirs.state_dict())
    assert not missing
    assert unexpected == ['fc.weight', 'fc.bias']
    assert notes[0] == '120 tensors of a network alone are taken as backbone.*'
    theirs.avgpool = theirs.fc = nn.Identity()
    image = torch.rand(1, 3, 64, 64)
    c5 = model.roi_head.shared_head(*model.backbone(image))
    torch.testing.assert_close(c5.flatten(1), theirs(image))


@torch.no_grad()
@pytest.mark.parametrize(('extra', 'start_level'), [
    ('on_input', 1), ('on_output', 1), ('on_input', 2)])
def test_levels_of_a_pyramid(extra, start_level):
    """The levels that both have are computed from the same weights."""
    full = _shuffled(_Network(neck=FPN(CHANNELS, 5, 4, norm_cfg=NORM)))
    model = _Network(neck=FPN(CHANNELS, 5, 6 - start_level, start_level,
                              add_extra_convs=extra, norm_cfg=NORM))
    missing, unexpected, notes = _fit(model, full.state_dict())
    assert {name.split('.')[2] for name in missing} == {
        str(level) for level in (4 - start_level, 5 - start_level)}
    assert not unexpected
    assert f'counted from {start_level}' in notes[0]
    maps = [torch.rand(1, channels, 32 // 2**i, 32 // 2**i)
            for i, channels in enumerate(CHANNELS)]
    for ours, theirs in zip(model.neck(maps), full.neck(maps)[start_level:],
                            strict=False):
        torch.testing.assert_close(ours, theirs)


def test_a_pyramid_from_c3_to_one_from_c2():
    """Convolutions of all levels have one shape: names must not decide."""
    theirs = _shuffled(_Network(neck=FPN(
        CHANNELS, 5, 5, 1, add_extra_convs='on_output')))
    model = _Network(neck=FPN(CHANNELS, 5, 5))
    missing, unexpected, notes = _fit(model, theirs.state_dict())
    assert {name.split('.')[2] for name in missing} == {'0'}
    assert {name.split('.')[2] for name in unexpected} == {'4', '5'}
    assert 'counted on from 1' in notes[0]
    for ours, other in zip(model.neck.fpn_convs[1:], theirs.neck.fpn_convs,
                           strict=False):
        assert torch.equal(ours.conv.weight, other.conv.weight)


@pytest.mark.parametrize('network', [
    _Network(backbone=_resnet(3), shared_head=ResLayer(18)),
    _Network(neck=FPN(CHANNELS, 5, 5, 1, add_extra_convs=True)),
    _Network(neck=FPN(CHANNELS, 5, 4)),
    nn.Sequential(nn.Linear(1, 1)),
], ids=['c4', 'c3', 'fpn', 'other'])
def test_own_names_stay(network):
    state = network.state_dict()
    fitted, notes = fit_checkpoint(state, state)
    assert not notes
    assert list(fitted) == list(state)


def test_what_does_not_fit_is_left_alone():
    state = {'encoder.conv1.weight': 1, 'queue': 2}
    assert fit_checkpoint(state, {'backbone.conv1.weight': 1}) == (state, [])
