# Copyright (c) mmloc contributors. All rights reserved.
"""Shipped detector configs fit the pretraining configs they start from."""
from pathlib import Path

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS

from mmloc.datasets.toy_scene import TOY_CLASSES
from mmloc.engine import compare_state_dicts

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'insloc'
DOWNSTREAM = sorted((CONFIGS / 'downstream').glob('*.py'))
PRETRAINED = [path for path in DOWNSTREAM if 'insloc-pre' in path.name]


@pytest.fixture(autouse=True)
def _scope():
    register_all_modules(init_default_scope=True)


def _model(cfg):
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def _pretraining(cfg):
    """The config whose weights a detector config starts from."""
    start = Path(cfg.load_from)
    return Config.fromfile(CONFIGS / f'{start.parent.name}.py'), start


@pytest.mark.parametrize('path', DOWNSTREAM, ids=lambda path: path.stem)
def test_builds_with_its_hooks(path):
    cfg = Config.fromfile(path)
    _model(cfg)
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks]
    assert 'TransferReportHook' in [type(hook).__name__ for hook in hooks]
    milestones = cfg.param_scheduler[-1].milestones
    length = cfg.train_cfg.get('max_iters') or cfg.train_cfg.max_epochs
    assert max(milestones) < length == cfg.param_scheduler[-1].end


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_starts_from_the_end_of_a_shipped_pretraining(path):
    cfg, start = _pretraining(Config.fromfile(path))
    assert start.name == f'epoch_{cfg.train_cfg.max_epochs}.pth'


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_takes_every_tensor_of_the_pretrained_modules(path):
    cfg = Config.fromfile(path)
    detector = _model(cfg).state_dict()
    pretrained = _model(_pretraining(cfg)[0]).state_dict()
    report = compare_state_dicts(detector, pretrained)
    for name in ('backbone', 'neck'):
        module = report.modules[name]
        assert len(module.loaded) == module.in_model > 0
        assert not module.unexpected
    head = report.modules['roi_head.bbox_head']
    new = {name.split('.')[2] for name in head.missing}
    assert new <= {'fc_cls', 'fc_reg', 'extra_norm'}
    assert not head.wrong_shape
    # Of the two shared layers the published recipe transfers the first.
    assert {name.split('.', 2)[2] for name in head.unexpected} == {
        'shared_fcs.1.weight', 'shared_fcs.1.bias'
    }
    assert {'target', 'head', 'projector'} <= set(report.pretext)


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_normalizes_images_as_the_pretraining(path):
    cfg = Config.fromfile(path)
    theirs = _pretraining(cfg)[0].model.data_preprocessor.data_preprocessor
    for key in ('mean', 'std', 'bgr_to_rgb'):
        assert cfg.model.data_preprocessor[key] == theirs[key]


def test_toy_classes_are_those_of_the_generator():
    cfg = Config.fromfile(
        CONFIGS / 'downstream' / 'faster-rcnn_r18-insloc-pre_fpn_toy.py')
    assert cfg.metainfo.classes == tuple(TOY_CLASSES)
    assert cfg.num_classes == len(TOY_CLASSES)


@pytest.mark.parametrize('kind', ['faster-rcnn', 'mask-rcnn'])
def test_scratch_differs_in_its_start_only(kind):
    pair = [
        Config.fromfile(
            CONFIGS / 'downstream' / f'{kind}_r18-{start}_fpn_toy.py')
        for start in ('insloc-pre', 'scratch')
    ]
    assert pair[0].load_from is not None
    assert pair[1].load_from is None
    pair[0].load_from = None
    assert pair[0].to_dict() == pair[1].to_dict()


def _check_weight_decay(model, optim_wrapper):
    """Everywhere but on the norms, as in the published recipe."""
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, torch.nn.SyncBatchNorm)
        for parameter in module.parameters()
    }
    optimizer = build_optim_wrapper(model, optim_wrapper).optimizer
    decays = {
        id(parameter): group['weight_decay']
        for group in optimizer.param_groups for parameter in group['params']
    }
    assert decays == {
        id(parameter): 0. if id(parameter) in norms else 0.0001
        for parameter in model.parameters()
    }


@pytest.mark.parametrize('path', [
    path for path in PRETRAINED if '_coco' in path.name
], ids=lambda path: path.stem)
def test_coco_configs_follow_the_published_recipe(path):
    cfg = Config.fromfile(path)
    twice = 2 if '_2x_' in path.name else 1
    assert cfg.train_cfg.max_iters == 90000 * twice
    assert cfg.param_scheduler[1].milestones == [60000 * twice, 80000 * twice]
    assert cfg.param_scheduler[0].end == 1000
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.optim_wrapper.optimizer.lr == 0.02
    resize = cfg.train_dataloader.dataset.pipeline[2]
    assert [short for _, short in resize.scales] == [*range(640, 801, 32)]
    model = _model(cfg)
    _check_weight_decay(model, cfg.optim_wrapper)
    assert model.backbone.frozen_stages == -1
    assert not model.backbone.norm_eval
    norms = [
        name for name, module in model.named_modules()
        if isinstance(module, torch.nn.SyncBatchNorm)
    ]
    parts = {name.rsplit('.', 1)[0].split('.convs')[0] for name in norms}
    assert any(name.startswith('neck') for name in parts)
    assert 'roi_head.bbox_head.extra_norm' in norms
    assert model.with_mask == any('mask_head' in name for name in norms)
    assert not any(
        type(module) is torch.nn.BatchNorm2d for module in model.modules())
