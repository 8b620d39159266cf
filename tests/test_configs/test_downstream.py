# Copyright (c) mmloc contributors. All rights reserved.
"""Shipped detector configs fit the pretraining configs they start from."""
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from mmloc.datasets.toy_scene import TOY_CLASSES
from mmloc.engine import compare_state_dicts
from mmloc.engine.launch import load_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
DOWNSTREAM = sorted(CONFIGS.glob('*/downstream/*.py'))
PRETRAINED = [path for path in DOWNSTREAM if '-pre_' in path.name]
COCO = [path for path in PRETRAINED if path.stem.endswith('_coco')]

PREDICTORS = {'roi_head.bbox_head.fc_cls', 'roi_head.bbox_head.fc_reg'}


@dataclass
class Recipe:
    """A published transfer: what is pretrained, left behind, and new."""
    weight_decay: float
    modules: set[str]
    left: set[str] = field(default_factory=set)
    extra_norm: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, path):
        """Of .../soco/downstream/mask-rcnn_r50-soco-pre_c4_1x_coco.py."""
        return RECIPES[path.parents[1].name, path.stem.split('_')[2]]


FPN = {'backbone', 'neck', 'roi_head.bbox_head'}
C4 = {'backbone', 'roi_head.shared_head'}
RECIPES = {
    ('insloc', 'fpn'):
    Recipe(
        1e-4,
        FPN,
        left={'roi_head.bbox_head.shared_fcs.1'},
        extra_norm={'roi_head.bbox_head.extra_norm'}),
    ('insloc', 'c4'):
    Recipe(1e-4, C4, extra_norm={'roi_head.shared_head.extra_norm'}),
    ('soco', 'fpn'):
    Recipe(2.5e-5, FPN),
    ('soco', 'c4'):
    Recipe(2.5e-5, C4, extra_norm={'roi_head.shared_head.extra_norm'}),
}


@pytest.fixture(autouse=True)
def _scope():
    register_all_modules(init_default_scope=True)


# Nothing here changes a config or a model.
_config = cache(Config.fromfile)


@cache
def _model(path):
    with torch.device('meta'):
        return MODELS.build(_config(path).model)


def _pretraining(path):
    """The config whose weights a detector config starts from."""
    start = Path(_config(path).load_from)
    return path.parents[1] / f'{start.parent.name}.py'


@pytest.mark.parametrize('path', DOWNSTREAM, ids=lambda path: path.stem)
def test_builds_with_its_hooks(path):
    cfg = _config(path)
    _model(path)
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks]
    assert 'TransferReportHook' in [type(hook).__name__ for hook in hooks]
    milestones = cfg.param_scheduler[-1].milestones
    length = cfg.train_cfg.get('max_iters') or cfg.train_cfg.max_epochs
    assert max(milestones) < length == cfg.param_scheduler[-1].end


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_starts_from_the_end_of_a_shipped_pretraining(path):
    epochs = _config(_pretraining(path)).train_cfg.max_epochs
    assert Path(_config(path).load_from).name == f'epoch_{epochs}.pth'


@pytest.mark.slow
@pytest.mark.parametrize(
    'path', [path for path in PRETRAINED if not path.stem.endswith('_toy')],
    ids=lambda path: path.stem)
def test_is_a_protocol_and_a_start(path):
    """So are the tables of protocols and starts tables of these configs."""
    # Anew: mmdet's detectors write into the configs they are built from.
    cfg = Config.fromfile(path)
    protocol = re.sub('-[a-z-]+-pre', '', path.stem)
    expected = load_config(
        str(CONFIGS / 'transfer' / f'{protocol}.py'), start=cfg.start.name)
    assert cfg.to_dict() == expected.to_dict()


def _layers(names):
    return {name.rsplit('.', 1)[0] for name in names}


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_takes_every_tensor_of_the_pretrained_modules(path):
    recipe = Recipe.of(path)
    report = compare_state_dicts(
        _model(path).state_dict(), _model(_pretraining(path)).state_dict())
    for name, module in report.modules.items():
        assert bool(module.loaded) == (name in recipe.modules)
        assert not module.wrong_shape
        if module.loaded:
            assert _layers(module.missing) <= PREDICTORS | recipe.extra_norm
        assert _layers(module.unexpected) == {
            layer for layer in recipe.left if layer.startswith(name)}
    assert not report.partial
    assert {'target', 'projector'} <= set(report.pretext)


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_normalizes_images_as_the_pretraining(path):
    ours = _config(path).model.data_preprocessor
    theirs = _config(_pretraining(path)).model.data_preprocessor
    for key in ('mean', 'std', 'bgr_to_rgb'):
        assert ours[key] == theirs.data_preprocessor[key]


@pytest.mark.parametrize('path', PRETRAINED, ids=lambda path: path.stem)
def test_convolves_as_the_pretraining(path):
    """Weights would fit all the same, were the stride at another layer."""
    ours, theirs = (_geometries(_model(p)) for p in (path, _pretraining(path)))
    common = ours.keys() & theirs.keys()
    assert len(common) > 20
    assert {name: ours[name] for name in common} == {
        name: theirs[name] for name in common}


def _geometries(model):
    return {
        name: (module.stride, module.padding, module.dilation)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }


def test_toy_classes_are_those_of_the_generator():
    cfg = _config(
        CONFIGS / 'insloc/downstream/faster-rcnn_r18-insloc-pre_fpn_toy.py')
    assert cfg.metainfo.classes == tuple(TOY_CLASSES)
    assert cfg.num_classes == len(TOY_CLASSES)


@pytest.mark.parametrize(('kind', 'start'), [
    ('faster-rcnn', 'insloc/downstream/{}_r18-scratch_fpn_toy.py'),
    ('mask-rcnn', 'insloc/downstream/{}_r18-scratch_fpn_toy.py'),
    ('faster-rcnn', 'soco/downstream/{}_r18-soco-pre_fpn_toy.py'),
])
def test_toy_detectors_differ_in_their_start_only(kind, start):
    cfgs = [
        _config(CONFIGS / file.format(kind)).to_dict() for file in
        ('insloc/downstream/{}_r18-insloc-pre_fpn_toy.py', start)
    ]
    insloc, other = (cfg.pop('load_from') for cfg in cfgs)
    assert insloc != other
    assert (other is None) == ('scratch' in start)
    assert cfgs[0] == cfgs[1]


def _check_weight_decay(model, optim_wrapper, weight_decay):
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
        id(parameter): 0. if id(parameter) in norms else weight_decay
        for parameter in model.parameters()
    }


def _check_norms(model, recipe):
    """SyncBN in all that is pretrained, and in the mask head of an FPN."""
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
    }
    assert all(isinstance(norm, torch.nn.SyncBatchNorm)
               for norm in norms.values())
    assert all(norm.weight.requires_grad for norm in norms.values())
    mask_head = 'roi_head.mask_head'
    parts = {*FPN, *recipe.modules, mask_head}
    masks = {mask_head} if model.with_mask and model.with_neck else set()
    assert recipe.modules | masks == {
        part for part in parts if any(name.startswith(part) for name in norms)}
    assert recipe.extra_norm == {name for name in norms if 'extra' in name}


@pytest.mark.parametrize('path', COCO, ids=lambda path: path.stem)
def test_coco_configs_follow_the_published_recipe(path):
    cfg = _config(path)
    twice = 2 if '_2x_' in path.name else 1
    assert cfg.train_cfg.max_iters == 90000 * twice
    assert cfg.param_scheduler[1].milestones == [60000 * twice, 80000 * twice]
    assert cfg.param_scheduler[0].end == 1000
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.optim_wrapper.optimizer.lr == 0.02
    assert 'mmloc.PreciseBNHook' in [hook.type for hook in cfg.custom_hooks]
    resize = cfg.train_dataloader.dataset.pipeline[2]
    assert [short for _, short in resize.scales] == [*range(640, 801, 32)]
    model = _model(path)
    recipe = Recipe.of(path)
    _check_weight_decay(model, cfg.optim_wrapper, recipe.weight_decay)
    _check_norms(model, recipe)
    assert model.backbone.frozen_stages == -1
    assert not model.backbone.norm_eval
