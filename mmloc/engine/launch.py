# Copyright (c) mmloc contributors. All rights reserved.
"""What the flags of ``tools/train.py`` and ``tools/test.py`` do to a config.

Each function takes a :obj:`mmengine.Config`, changes it in place and raises
ValueError or FileNotFoundError with a sentence if the flag does not fit.
"""
import difflib
import inspect
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hub import get_config
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, IterBasedTrainLoop

from mmloc.utils.cli import building

from .checkpoint_files import (
    check_readable,
    check_resumable,
    find_checkpoint,
)
from .hooks import TargetScheduleHook
from .runner import Runner
from .starts import (
    check_start,
    departures,
    describe_start,
    find_start,
    lay_start,
)

#: Keys that mmengine reads from a config besides the Runner's arguments.
_RUNNER_KEYS = set(inspect.signature(Runner.__init__).parameters) | {
    'activation_checkpointing', 'compile', 'efficient_conv_bn_eval',
    'find_unused_parameters', 'model_wrapper_cfg', 'sync_bn', 'tta_model'
}
_PLAIN_WRAPPERS = ('OptimWrapper', 'AmpOptimWrapper',
                   'mmloc.AutocastOptimWrapper')


def load_config(name: str,
                options: dict | None = None,
                start: str | None = None) -> Config:
    """Read a config from a path, or from an installed package.

    Args:
        name (str): A file, or ``package::path`` such as
            ``mmloc::insloc/insloc_r18_fpn_toy.py``.
        options (dict, optional): Settings with dotted keys that replace
            those of the file, and of the start. Defaults to None.
        start (str, optional): Name of a shipped start, or path of a file, to
            lay over a transfer protocol. Defaults to None.

    Returns:
        Config: The config, every base merged, without a ``work_dir`` of its
        own unless the file has one.

    Raises:
        FileNotFoundError: If the file or one of its bases is missing.
        ValueError: If the file cannot be read as a config, there is no such
            start or none for this config, it has a start without weights,
            or an option names a section that the config does not have.
    """
    cfg = _read(name)
    if start is not None:
        lay_start(cfg, _read(find_start(start)))
    if options:
        _check_options(cfg, options)
        cfg.merge_from_dict(options)
    if 'load_from' not in (options or {}):
        check_start(cfg)
    return cfg


def _read(name: str) -> Config:
    if '::' not in name and not Path(name).is_file():
        raise FileNotFoundError(
            f'config {name!r} is not a file; give a path, or '
            '`package::path` for a config of an installed package')
    try:
        return get_config(name) if '::' in name else Config.fromfile(name)
    except Exception as error:
        raise ValueError(f'config {name!r} cannot be read: '
                         f'{type(error).__name__}: {error}') from error


def _check_options(cfg: Config, options: dict) -> None:
    """Refuse options that nothing would ever read."""
    known = _RUNNER_KEYS | set(cfg.keys())
    for option in options:
        section = option.split('.')[0]
        if section not in known:
            near = difflib.get_close_matches(section, known, n=1)
            hint = f'; did you mean {near[0]!r}?' if near else ''
            raise ValueError(f'--cfg-options {option}: the config has no '
                             f'{section!r}{hint}')


def require(cfg: Config, *keys: str) -> None:
    """Check that a config has what an action needs.

    Raises:
        ValueError: If it lacks one of the keys.
    """
    for key in keys:
        if cfg.get(key) is None:
            raise ValueError(
                f'config {cfg.filename} has no {key}, which is needed here; '
                'pretraining configs can be trained but not tested, probes '
                'tested but not trained')


def require_probe(cfg: Config) -> None:
    """Check that a config can be tested without a checkpoint: raises
    ValueError if it is one that is trained."""
    if cfg.get('train_cfg') is not None:
        raise ValueError(
            f'config {cfg.filename} is trained before it is tested; give the '
            'checkpoint of that training after the config')


def set_work_dir(cfg: Config,
                 work_dir: str | None,
                 start: str | None = None) -> None:
    """Choose the folder of logs and checkpoints: the flag, then the config's
    own ``work_dir``, then ``work_dirs/<name of the config>``, to which a
    start of the command line adds ``_<name of the start>``."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        names = [Path(name).stem for name in (cfg.filename, start) if name]
        cfg.work_dir = str(Path('work_dirs') / '_'.join(names))


def set_amp(cfg: Config, dtype: str | None) -> None:
    """Turn mixed precision on.

    Args:
        cfg (Config): The config with an ``optim_wrapper``.
        dtype (str, optional): 'float16' (with loss scaling, on a GPU) or
            'bfloat16' (without, on any device). None leaves the config.

    Raises:
        ValueError: If float16 is asked for, by the flag or the config,
            without a GPU, bfloat16 for a
            detector with an RPN, or the config's optimizer wrapper is one
            that a flag cannot replace.
    """
    if dtype is None:
        if (cfg.get('optim_wrapper', {}).get('type') == 'AmpOptimWrapper'
                and get_device() == 'cpu'):
            raise ValueError(
                'the config trains in float16, which needs a GPU, and none is '
                'visible; use --amp bfloat16, or for float32 --cfg-options '
                'optim_wrapper.type=OptimWrapper')
        return
    if dtype == 'float16' and not torch.cuda.is_available():
        raise ValueError('--amp float16 needs a GPU and none is visible; use '
                         '--amp bfloat16, or train without --amp')
    if dtype == 'bfloat16' and 'rpn_head' in cfg.get('model', {}):
        raise ValueError(
            '--amp bfloat16 cannot train a detector with an RPN, because the '
            'NMS and RoIAlign of mmcv 2.1 lack bfloat16; use --amp float16 '
            'on a GPU, or train without --amp')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in _PLAIN_WRAPPERS:
        raise ValueError(f'--amp cannot replace optim_wrapper.type={kind!r}; '
                         f'it replaces one of {_PLAIN_WRAPPERS}')
    cfg.optim_wrapper.pop('dtype', None)
    cfg.optim_wrapper.pop('loss_scale', None)
    if dtype == 'float16':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        cfg.optim_wrapper.update(
            type='mmloc.AutocastOptimWrapper', dtype=dtype)


def set_auto_scale_lr(cfg: Config) -> None:
    """Let mmengine scale the learning rate linearly with the batch size.

    Raises:
        ValueError: If the config does not say for which batch size its
            learning rate is meant.
    """
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise ValueError(
            '--auto-scale-lr needs the batch size that the learning rate is '
            'meant for; add auto_scale_lr=dict(base_batch_size=...) to '
            f'{cfg.filename}')
    cfg.auto_scale_lr.enable = True


def set_start(cfg: Config,
              load_from: str | None = None,
              resume: str | None = None) -> str:
    """Choose where training starts: from new weights, from a checkpoint's
    weights (``load_from``), or in the middle of a run (``resume``).

    Unlike upstream, resuming in a folder without checkpoints keeps
    ``load_from``: a job that is restarted by a queue must begin its first
    time as if it had not been told to resume.

    Args:
        cfg (Config): The config, ``work_dir`` set.
        load_from (str, optional): Path or address of the checkpoint with
            the weights, in place of the config's. Defaults to None.
        resume (str, optional): 'auto' for the newest checkpoint of the work
            folder that is whole, or a path. Defaults to None.

    Returns:
        str: What was decided about resuming, for the log; may be empty.

    Raises:
        FileNotFoundError: If a local checkpoint does not exist.
        ValueError: If a local checkpoint is damaged, or is to be resumed
            and holds no more than weights.
    """
    note, passed_over = '', []
    if load_from is not None:
        cfg.load_from = load_from
    if resume == 'auto':
        hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        resume, passed_over = find_checkpoint(
            cfg.work_dir, hook.get('filename_tmpl'))
        note = f'--resume: no checkpoint in {cfg.work_dir}, a new run starts'
        cfg.resume = False
    elif resume is not None and '://' not in resume:
        check_resumable(resume)
    if resume is not None:
        note = '\n'.join([f'--resume: passed over: {x}' for x in passed_over] +
                         [f'--resume: continuing from {resume}'])
        cfg.load_from, cfg.resume = resume, True
    start = cfg.get('load_from')
    if start and '://' not in start and not cfg.get('resume'):
        check_readable(start)
    return note


def set_randomness(cfg: Config, seed: int | None,
                   deterministic: bool) -> None:
    """Fix the seed; other settings of ``randomness`` stay as they are."""
    randomness = dict(cfg.get('randomness') or {})
    if seed is not None:
        randomness['seed'] = seed
    if deterministic:
        randomness['deterministic'] = True
    cfg.randomness = dict(seed=None) | randomness


def set_show_dir(cfg: Config, folder: str) -> None:
    """Let the visualization hook write the tested images.

    Raises:
        ValueError: If the config has no such hook.
    """
    if 'visualization' not in (cfg.get('default_hooks') or {}):
        raise ValueError(
            '--show-dir needs a visualization hook; add default_hooks=dict('
            "visualization=dict(type='DetVisualizationHook')) to "
            f'{cfg.filename}')
    cfg.default_hooks.visualization.update(draw=True, test_out_dir=folder)


def build_runner(cfg: Config, action: str) -> Runner:
    """Build the runner with its data, all that a wrong setting can break.

    Args:
        cfg (Config): The config, ``work_dir`` and ``launcher`` set.
        action (str): 'train' or 'test', the loop whose data are built too.

    Returns:
        Runner: Ours, or the one that the config's ``runner_type`` names.

    Raises:
        ValueError: If the config does not fit what it configures, or the
            training data do not make one batch.
    """
    with building(f'{action} of {cfg.filename}'):
        runner = (RUNNERS.build(cfg) if 'runner_type' in cfg
                  else Runner.from_cfg(cfg))
        loop = getattr(runner, f'{action}_loop')
    # A detector that is tested has weights of its own.
    if 'start_family' in cfg and (action == 'train' or 'train_cfg' not in cfg):
        runner.logger.info(describe_start(cfg))
        if departures(cfg):
            runner.logger.warning(
                f'The model is not as its start says in '
                f'{", ".join(departures(cfg))}: unless that is on purpose, '
                'write model = _base_.start.'
                f'{cfg.start_family}.model in the config.')
    if action == 'train':
        _check_batches(cfg, loop)
        # For a config with custom_hooks of its own: without this one,
        # accumulated gradients would leave a momentum target wrong unnoticed.
        if not any(isinstance(x, TargetScheduleHook) for x in runner.hooks):
            runner.register_hook(TargetScheduleHook())
    return runner


def _check_batches(cfg: Config, loop: BaseLoop) -> None:
    """Refuse data on which training would end without an iteration."""
    loader, images = loop.dataloader, len(loop.dataloader.dataset)
    # Its length is that of one pass, but it fills a batch from several.
    repeats = isinstance(loop, IterBasedTrainLoop) and isinstance(
        getattr(loader.batch_sampler, 'sampler', None), InfiniteSampler)
    if images == 0 or (len(loader) == 0 and not repeats):
        raise ValueError(
            f'train_dataloader has {images} images, not enough for one batch '
            f'of {cfg.train_dataloader.batch_size} images in each process '
            f'({get_world_size()} in all); add images, lower '
            'train_dataloader.batch_size, or start fewer processes')
