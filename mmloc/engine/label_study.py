# Copyright (c) mmloc contributors. All rights reserved.
"""Detectors from several starts on fewer and fewer labels: the cells of
``tools/analysis_tools/low_label_study.py``.

A study trains a protocol config from each start, on each share of the labels,
with each seed. The seed orders the images (a smaller share is the head of a
larger one, and all starts get the same) and seeds the training.
"""
import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmloc.datasets.label_subsets import describe_labels
from mmloc.registry import DATASETS
from mmloc.utils.files import atomic_write

from .checkpoint_files import check_readable
from .launch import load_config, require

#: Parts of a learning rate's schedule that move with the training's end.
_LENGTHS = ('begin', 'end', 'T_max', 'total_iters', 'step_size', 'milestones')


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Args:
        start (str): Name of the start.
        images (int): Number of labelled images.
        seed (int): Of the choice of images and of the training.
    """
    start: str
    images: int
    seed: int

    @property
    def folder(self) -> Path:
        """Path: Where it is kept, in the folder of the study."""
        return Path('cells', self.start, f'{self.images}_images',
                    f'seed_{self.seed}')


def load_start(config: str, spec: str,
               options: dict | None) -> tuple[str, Config]:
    """Read a protocol with a start laid over it.

    Args:
        config (str): The protocol, as :func:`~.launch.load_config` takes it.
        spec (str): ``NAME`` or ``NAME=CHECKPOINT``: a start of ``--start``,
            and weights in place of its own. For a config without
            ``start_family`` the name is free and the weights are needed,
            except for ``scratch``, which has none.
        options (dict, optional): As of ``--cfg-options``.

    Returns:
        tuple[str, Config]: The start's name and the config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the start does not fit the config, or the weights
            cannot be read.
    """
    name, _, checkpoint = spec.partition('=')
    if 'start_family' in load_config(config):
        cfg = load_config(config, options, name)
    else:
        cfg = load_config(config, options)
        cfg.load_from = None
        if not checkpoint and name != 'scratch':
            raise ValueError(
                f'{config!r} is no transfer protocol (it has no '
                f'start_family), so a start needs weights: {name}=CHECKPOINT; '
                'the one without is called scratch')
    require(cfg, 'train_dataloader', 'train_cfg', 'val_dataloader',
            'val_evaluator')
    cfg.load_from = checkpoint or cfg.get('load_from')
    if cfg.load_from and '://' not in cfg.load_from:
        check_readable(cfg.load_from)
    return Path(name).stem, cfg


def load_starts(config: str, specs: Sequence[str],
                options: dict | None) -> dict[str, Config]:
    """Read a protocol with each start of a study.

    Args:
        config (str): See :func:`load_start`.
        specs (Sequence[str]): See there.
        options (dict, optional): See there.

    Returns:
        dict[str, Config]: Name of the start -> config.

    Raises:
        FileNotFoundError: See there.
        ValueError: See there, or if two starts have the same name.
    """
    pairs = [load_start(config, spec, options) for spec in specs]
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f'several starts are called {", ".join(twice)}; give '
                         'each a name of its own')
    return dict(pairs)


def count_images(fractions: Sequence[float], total: int) -> list[int]:
    """Turn shares of the labelled images into numbers of them.

    Args:
        fractions (Sequence[float]): Shares.
        total (int): Number of images.

    Returns:
        list[int]: Numbers, rounded down, without repetition, in order.

    Raises:
        ValueError: If a share is not one image at least and all at most.
    """
    for fraction in fractions:
        if not 1 <= fraction * total <= total:
            raise ValueError(
                f'a fraction is {fraction} of {total} labelled images, '
                'expected one of them at least and all at most')
    return sorted({int(fraction * total) for fraction in fractions})


def count_labels(cfg: Config) -> tuple[int, str]:
    """Read the labelled images of a config.

    Args:
        cfg (Config): A protocol.

    Returns:
        tuple[int, str]: How many images are trained on, and what they hold.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    dataset.full_init()
    return len(dataset), describe_labels(dataset)


def write_order(path: Path, total: int, seed: int) -> None:
    """Write the order in which a seed takes the images.

    Args:
        path (Path): The text file, left alone if it is there.
        total (int): Number of images.
        seed (int): Of :class:`numpy.random.RandomState`, whose draws stay
            the same for ever.
    """
    if not path.exists():
        with atomic_write(str(path), mode='w') as file:
            np.savetxt(file, np.random.RandomState(seed).permutation(total),
                       '%d')


def make_cell(cfg: Config, cell: Cell, total: int, order: Path,
              min_iters: int | None) -> tuple[Config, int]:
    """Make the config of a cell.

    Args:
        cfg (Config): The protocol with its start.
        cell (Cell): The cell.
        total (int): Number of images that the protocol has.
        order (Path): Which images come first.
        min_iters (int, optional): See :func:`set_length`. None for a quarter
            of what the protocol has.

    Returns:
        tuple[Config, int]: The config and its number of iterations.
    """
    cfg = Config(copy.deepcopy(cfg.to_dict()))
    set_labels(cfg, cell.images, order)
    return cfg, set_length(cfg, total, cell.images, min_iters)


def set_labels(cfg: Config, images: int, order: Path) -> None:
    """Train on some of the images only.

    Args:
        cfg (Config): A protocol, changed in place.
        images (int): How many.
        order (Path): Which come first.
    """
    cfg.train_dataloader.dataset = dict(
        type='mmloc.LabelSubset',
        dataset=cfg.train_dataloader.dataset,
        num=images,
        order=str(order))


def set_length(cfg: Config, total: int, images: int,
               min_iters: int | None) -> int:
    """Train for as many epochs as on all images, but not too shortly.

    The schedule is stretched or shortened as a whole, except for the warm-up,
    which keeps its length up to a fifth of the training. There is one
    evaluation, at the end, and no choice of a checkpoint by it.

    Args:
        cfg (Config): A protocol, changed in place.
        total (int): Number of images that its schedule is made for.
        images (int): Number of images that are trained on.
        min_iters (int, optional): Least number of iterations. None for a
            quarter of what the schedule has on all images.

    Returns:
        int: Number of iterations.

    Raises:
        ValueError: If the protocol has fewer than ``min_iters``.
    """
    batch = cfg.train_dataloader.batch_size
    per_epoch = {n: math.ceil(n / batch) for n in (total, images)}
    loop = cfg.train_cfg
    by_epoch = loop.get('max_epochs') is not None
    key = 'max_epochs' if by_epoch else 'max_iters'
    whole = loop[key] * (per_epoch[total] if by_epoch else 1)
    least = whole // 4 if min_iters is None else min_iters
    if by_epoch:
        length = max(loop[key], math.ceil(least / per_epoch[images]))
        iters = length * per_epoch[images]
    else:
        iters = length = max(least, round(whole * images / total))
    if not 0 <= least <= whole:
        raise ValueError(
            f'at least {least} iterations are asked for, but the config '
            f'has {whole} on all {total} images; change --min-iters')
    schedules = cfg.get('param_scheduler') or []
    for schedule in [schedules] if isinstance(schedules, dict) else schedules:
        _stretch(schedule, length / loop[key], loop[key], iters, by_epoch)
    loop[key] = loop.val_interval = length
    loop.pop('val_begin', None)
    loop.pop('dynamic_intervals', None)
    hooks = cfg.get('default_hooks') or {}
    saving = dict(type='CheckpointHook') | dict(hooks.get('checkpoint') or {})
    saving.update(interval=length // 5 + 1, by_epoch=by_epoch, save_last=False,
                  max_keep_ckpts=1)
    saving.pop('save_best', None)
    cfg.default_hooks = dict(hooks, checkpoint=saving)
    return iters


def _stretch(schedule: dict, factor: float, former: int, iters: int,
             by_epoch: bool) -> None:
    """Fit a schedule of the learning rate to another length."""
    in_iters = not schedule.get('by_epoch', True)
    if schedule['type'] in ('LinearLR', 'ConstantLR') and not schedule.get(
            'begin') and in_iters and (by_epoch or schedule['end'] < former):
        schedule['end'] = max(1, min(schedule['end'], iters // 5))
    elif by_epoch != in_iters:
        for key in _LENGTHS:
            value = schedule.get(key)
            if isinstance(value, int):
                schedule[key] = round(value * factor)
            elif value is not None:
                schedule[key] = [max(1, round(x * factor)) for x in value]
