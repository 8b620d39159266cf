# Copyright (c) mmloc contributors. All rights reserved.
"""Every shipped start fits every protocol, and leaves nothing of another."""
import copy
from functools import cache
from pathlib import Path

import pytest
import torch
import torchvision
from mmdet.models.backbones import ResNet
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmloc.engine import compare_state_dicts
from mmloc.engine.fit import fit_checkpoint
from mmloc.engine.starts import STARTS, lay_start, shipped_starts

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PROTOCOLS = sorted(path.stem for path in CONFIGS.glob('transfer/*.py'))
FAMILIES = {
    'fpn': 'mask-rcnn_r50_fpn_1x_coco',
    'c4': 'mask-rcnn_r50_c4_1x_coco',
    'dense': 'retinanet_r50_fpn_1x_coco',
    'classifier': 'linear-probe_r50_8xb32-coslr-100e_in1k',
}


@pytest.fixture(autouse=True)
def _scope():
    register_all_modules(init_default_scope=True)


# Nothing here changes a config or a state.
_protocol = cache(
    lambda name: Config.fromfile(CONFIGS / 'transfer' / f'{name}.py'))
_start = cache(lambda name: Config.fromfile(STARTS / f'{name}.py'))


def _laid(protocol, *starts):
    """A protocol with starts laid over it, one after the other."""
    cfg = copy.deepcopy(_protocol(protocol))
    for start in starts:
        lay_start(cfg, _start(start))
    return cfg


def _settings(cfg):
    cfg = cfg.to_dict()
    cfg.pop('start', None)
    return cfg


_MODELS = {}


def _model(cfg):
    """A model on no device; one for all configs with the same."""
    key = str(cfg.model)
    if key not in _MODELS:
        # mmpretrain's networks ask a tensor for its value.
        device = 'cpu' if cfg.default_scope == 'mmpretrain' else 'meta'
        with (torch.device(device),
              DefaultScope.overwrite_default_scope(cfg.default_scope)):
            _MODELS[key] = MODELS.build(cfg.model)
    return _MODELS[key]


@pytest.mark.parametrize('name', shipped_starts())
def test_a_start_is_for_every_family(name):
    start = _start(name).start
    assert start.name == name
    assert set(start) == {'name', *FAMILIES}
    assert len({start[family].load_from for family in FAMILIES}) == 1


@pytest.mark.parametrize('protocol', [
    pytest.param(name, marks=[] if name in FAMILIES.values()
                 else [pytest.mark.slow]) for name in PROTOCOLS])
def test_a_protocol_begins_from_scratch(protocol):
    cfg = _protocol(protocol)
    assert cfg.start_family in FAMILIES
    assert not cfg.get('load_from')
    # mmdet's C4 configs fill the shared head from Caffe.
    assert 'checkpoint' not in str(cfg.model)
    assert _settings(_laid(protocol, 'scratch')) == _settings(cfg) | dict(
        load_from=None)


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('start', shipped_starts())
def test_a_start_leaves_nothing_of_the_others(family, start):
    protocol = FAMILIES[family]
    assert _settings(_laid(protocol, *shipped_starts(), start)) == _settings(
        _laid(protocol, start))


def _pretraining(start):
    """The network whose weights a start names, its state and config."""
    address = _start(start).start.fpn.load_from
    if address.startswith('work_dirs/'):
        path = next(CONFIGS.glob(f'*/{Path(address).parent.name}.py'))
        cfg = Config.fromfile(path)
        epochs = cfg.train_cfg.max_epochs
        assert Path(address).name == f'epoch_{epochs}.pth'
        return _model(cfg), cfg.model.data_preprocessor.data_preprocessor
    with torch.device('meta'):
        return ((torchvision.models.resnet50(), None)
                if address.startswith('torchvision://')
                else (ResNet(50, style='caffe'), None))


OWN = [name for name in shipped_starts()
       if str(_start(name).start.fpn.load_from).startswith('work_dirs/')]


def _quick(starts, *chosen):
    """Starts to test, most of them in the long set only."""
    return [pytest.param(name, marks=[] if name in chosen
                         else [pytest.mark.slow]) for name in starts]


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('start', _quick(
    [*OWN, 'supervised', 'supervised_msra'], 'insloc_fpn', 'soco_c4',
    'supervised'))
def test_takes_every_tensor_of_the_start(family, start):
    model = _model(_laid(FAMILIES[family], start))
    network, _ = _pretraining(start)
    pyramid = start.endswith('_fpn')
    state, _ = fit_checkpoint(network.state_dict(), model.state_dict())
    report = compare_state_dicts(model.state_dict(), state)
    report.check()
    assert not any(part.wrong_shape for part in report.modules.values())
    assert not report.modules['backbone'].missing
    new = {name.split('.')[-2] for name in report.modules.get(
        'roi_head.shared_head', report.modules['backbone']).missing}
    assert new <= {'extra_norm'}
    if 'neck' in report.modules and family in ('fpn', 'dense'):
        neck = report.modules['neck']
        assert bool(neck.loaded) == pyramid
        levels = {name.split('.')[2] for name in neck.missing}
        if pyramid:  # P6 and P7 of one-stage detectors are new
            assert levels == (set() if family == 'fpn' else {'3', '4'})
    if family == 'fpn':
        head = report.modules['roi_head.bbox_head']
        new = {name.split('.')[2] for name in head.missing}
        if pyramid:
            assert new <= {'fc_cls', 'fc_reg', 'extra_norm'}
            assert ('extra_norm' in new) == start.startswith('insloc')
        else:
            assert not head.loaded


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('start', _quick(OWN, 'insloc_fpn', 'soco_c4'))
def test_sees_images_and_strides_as_pretrained(family, start):
    cfg = _laid(FAMILIES[family], start)
    network, images = _pretraining(start)
    ours = cfg.model.data_preprocessor
    assert (ours.mean, ours.std) == (images.mean, images.std)
    to_rgb = ours.to_rgb if family == 'classifier' else ours.bgr_to_rgb
    assert to_rgb == images.bgr_to_rgb
    last = ('backbone.layer4', 'roi_head.shared_head.layer4')
    ours, theirs = ({
        name.replace(last[1], last[0]): (module.stride, module.dilation)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d)
        and name.startswith(('backbone', *last))
    } for model in (_model(cfg), network))
    assert len(ours) == 53
    assert ours == theirs


def test_msra_weights_have_their_images_and_strides():
    for family, protocol in FAMILIES.items():
        cfg = _laid(protocol, 'supervised_msra')
        images = cfg.model.data_preprocessor
        assert images.mean == [103.53, 116.28, 123.675]
        assert images.std == [1., 1., 1.]
        assert images[
            'to_rgb' if family == 'classifier' else 'bgr_to_rgb'] is False
        block = _model(cfg).backbone.layer2[0]
        assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
    block = _model(_laid(FAMILIES['c4'], 'supervised_msra')
                   ).roi_head.shared_head.layer4[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))


@pytest.mark.slow
@pytest.mark.parametrize('start', shipped_starts())
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_every_pair_builds(protocol, start):
    _model(_laid(protocol, start))
