# Copyright (c) mmloc contributors. All rights reserved.
"""Every transfer protocol runs with every start.

Two iterations of training and an evaluation, with the networks and the files
of the real thing: configs are used as they are in a folder that has tiny data
sets at ``data/`` and untrained checkpoints where the starts look for them.
"""
import gc
import math
import re
import shutil
from copy import deepcopy
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
import torch
from mmdet.visualization import DetLocalVisualizer
from mmengine.hooks import Hook
from mmpretrain.visualization import UniversalVisualizer

from mmloc.engine import launch
from tests import tiny_data
from tests.tiny_starts import CONFIGS, make_checkpoint

pytestmark = pytest.mark.slow

STARTS = sorted(
    path.stem for path in (CONFIGS / '_base_' / 'starts').glob('*.py'))
# The starts are ResNet-50s.
PROTOCOLS = sorted(
    path.stem for path in (CONFIGS / 'transfer').glob('*_r50_*.py'))
#: Protocol -> the one of which it only has another length or fewer labels.
VARIANTS = {
    protocol: re.sub(r'_(2x_|\d+pct_mini-)coco', '_1x_coco', protocol)
    for protocol in PROTOCOLS if '_2x_' in protocol or 'pct_' in protocol}
MAKERS = dict(
    coco=tiny_data.make_coco,
    lvis_v1=tiny_data.make_lvis,
    VOCdevkit=tiny_data.make_voc,
    cityscapes=tiny_data.make_cityscapes,
    imagenet=tiny_data.make_imagenet)
#: Protocol -> metrics that are published; the first pattern that fits.
METRICS = {
    'patch-localization_*': {'patch/zoomed_c5_hit', 'patch/pasted_c5_hit'},
    'roi-knn_*': {'roi_knn/c5_top1', 'roi_knn/c5_class_mean'},
    '*_voc0712': {'pascal_voc/mAP', 'pascal_voc/AP50', 'pascal_voc/AP75'},
    '*_lvis-v1': {f'lvis/{kind}_AP{part}' for kind in ('bbox', 'segm')
                  for part in ('', '50', '75', 'r', 'c', 'f')},
    '*_cityscapes': {'cityscapes/mAP', 'cityscapes/AP@50', 'coco/segm_mAP'},
    '*_in1k': {'accuracy/top1', 'accuracy/top5'},
    'mask-rcnn_*coco': {'coco/bbox_mAP', 'coco/segm_mAP'},
    '*_coco': {'coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP_75'},
}
#: The last stage of a ResNet: of a backbone, and as the RoI head of C4.
LAST_STAGES = ('backbone.layer4.', 'roi_head.shared_head.layer4.')
#: Images, proposals and batches are few and small, by the settings' names.
SMALL = {
    'batch_size': 2, 'num_workers': 0, 'persistent_workers': False,
    'scale': (128, 64), 'scales': [(128, 64)], 'nms_pre': 64,
    'max_per_img': 8, 'sampler.num': 8, 'score_thr': 0.,
    'times': 1, 'dataset.num': 4, 'dataset.total': None, 'indices': 4,
    'max_iters': 2, 'max_epochs': 1, 'val_interval': 2,
}


class Recorder(Hook):
    """Keep what the model begins with, its losses and its metrics."""
    priority = 'LOWEST'

    def __init__(self):
        self.losses = []

    def before_train(self, runner):
        self.before = {name: value.clone()
                       for name, value in runner.model.state_dict().items()}

    before_test = before_train

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(float(outputs['loss']))

    def after_val_epoch(self, runner, metrics):
        self.metrics = metrics

    after_test_epoch = after_val_epoch


@pytest.fixture(scope='module', autouse=True)
def quick():
    """Read each config file once, and log configs without pretty lines:
    most of the time of a run this short."""
    with pytest.MonkeyPatch.context() as patch:
        read = cache(launch._read)
        patch.setattr(launch, '_read', lambda name: deepcopy(read(name)))
        patch.setattr('mmengine.config.config.FormatCode',
                      lambda text, **kwargs: (text, True))
        # What has been imported need not be searched by each data set.
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The folder to work in, with torch's downloads."""
    folder = tmp_path_factory.mktemp('transfer')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('TORCH_HOME', str(folder / 'downloads'))
        yield folder
    shutil.rmtree(folder)
    # mmengine keeps them by name for the next training of this process.
    for visualizer in (DetLocalVisualizer, UniversalVisualizer):
        visualizer._instance_dict.clear()


def _settings(node, path=''):
    """All settings of a config, with their dotted keys."""
    items = node.items() if isinstance(node, dict) else enumerate(
        node if isinstance(node, list | tuple) else ())
    for key, value in items:
        name = f'{path}.{key}' if path else str(key)
        yield name, value
        yield from _settings(value, name)


def _shrink(cfg):
    """Options that make a run of a config a matter of seconds."""
    options = {'default_hooks.checkpoint': None}
    for key, value in _settings(cfg.to_dict()):
        for name, small in SMALL.items():
            if f'.{key}'.endswith(f'.{name}') and ('scale' not in name or (
                    'pipeline' in key and isinstance(value, list | tuple))):
                options[key] = small
        if value == 'mmloc.PreciseBNHook':
            options[key.replace('type', 'num_iters')] = 1
    return options


def _load(protocol, start):
    path = str(CONFIGS / 'transfer' / f'{protocol}.py')
    options = _shrink(launch.load_config(path))
    cfg = launch.load_config(path, options, start)
    cfg.launcher = 'none'
    for key, value in _settings(cfg.to_dict()):
        name = key.split('.')[-1]
        if name == 'data_root' and not Path(value).exists():
            MAKERS[Path(value).name](Path(value))
        elif name in ('load_from', 'checkpoint') and isinstance(value, str):
            make_checkpoint(value)
    launch.set_work_dir(cfg, f'runs/{protocol}_{start}')
    launch.set_randomness(cfg, 0, False)
    return cfg


def _check_start(cfg, before, start_level):
    """The model begins with all that it shares with the pretraining."""
    if cfg.load_from is None:
        assert cfg.start.name == 'scratch'
        return
    state = torch.load(
        make_checkpoint(cfg.load_from), weights_only=True, mmap=True)
    state = state.get('state_dict', state)
    shared = r'backbone\.|roi_head\.shared_head\.layer4\.'
    if cfg.start.name.endswith('_fpn'):
        shared += rf'|neck\.\w+_convs\.[0-{3 - start_level}]\.'
        if cfg.start_family == 'fpn':
            shared += r'|roi_head\.bbox_head\.shared_'
    for name, value in before.items():
        sources = _names(name, start_level) & state.keys()
        assert len(sources) == bool(re.match(shared, name)), name
        assert all(torch.equal(value, state[x]) for x in sources), name


def _names(name, start_level):
    """What a tensor of a model may be called in a checkpoint."""
    level = re.fullmatch(r'(neck\.\w+_convs\.)(\d)(\..+)', name)
    if level:
        return {f'{level[1]}{int(level[2]) + start_level}{level[3]}'}
    names = {name, *(name.replace(*pair) for pair in
                     (LAST_STAGES, LAST_STAGES[::-1]))}
    return names | {name.removeprefix('backbone.') for name in names}


def _check_training(runner, recorder):
    """Losses are finite; of all parts that are trained, something moves."""
    assert len(recorder.losses) == 2
    assert all(map(math.isfinite, recorder.losses))
    model = runner.model
    moved = {
        name for name, value in model.named_parameters()
        if not torch.equal(value, recorder.before[name])}
    if runner.cfg.start_family == 'classifier':
        assert moved == {'head.fc.weight', 'head.fc.bias'}
        return
    parts = [name for name, part in model.named_modules()
             if re.fullmatch(r'backbone|neck|(roi_head\.)?\w+_head', name)
             and list(part.parameters())]
    # The first layer is not frozen either.
    for part in ['backbone.conv1', *parts]:
        assert any(name.startswith(f'{part}.') for name in moved), part


@pytest.mark.parametrize('start', STARTS)
@pytest.mark.parametrize(('variant', 'protocol'), VARIANTS.items())
def test_variants_train_the_same_model(variant, protocol, start):
    """Why one start is enough for a variant in the test below."""
    theirs, ours = (
        launch.load_config(str(CONFIGS / f'transfer/{name}.py'), None, start)
        for name in (protocol, variant))
    for key in ('model', 'optim_wrapper', 'load_from'):
        assert ours[key] == theirs[key]
    assert ours.train_cfg != theirs.train_cfg


@pytest.mark.parametrize(('protocol', 'start'), [
    (protocol, start) for protocol in PROTOCOLS for start in STARTS
    if protocol not in VARIANTS or start == 'insloc_fpn'])
def test_trains_and_evaluates(protocol, start, folder):
    cfg = _load(protocol, start)
    train = 'train_cfg' in cfg
    runner = launch.build_runner(cfg, 'train' if train else 'test')
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train() if train else runner.test()
    neck = getattr(runner.model, 'neck', None)
    _check_start(cfg, recorder.before, getattr(neck, 'start_level', 0))
    if train:
        _check_training(runner, recorder)
    assert not any(map(math.isnan, recorder.metrics.values()))
    assert set(recorder.metrics) >= next(
        names for pattern, names in METRICS.items()
        if fnmatch(protocol, pattern))
