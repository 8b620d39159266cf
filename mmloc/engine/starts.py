# Copyright (c) mmloc contributors. All rights reserved.
"""Starts: what a transfer protocol begins from, laid over its config.

A start is a config with a dict ``start``: its ``name``, and for each family
of protocols the settings that it changes. Those of mmloc are in
``configs/_base_/starts``, where ``scratch.py`` explains them.
"""
import difflib
from pathlib import Path

from mmengine.config import Config

#: The folder of the shipped starts, in a checkout and in a wheel.
STARTS = Path(__file__).resolve().parents[1].joinpath(
    '.mim', 'configs', '_base_', 'starts')


def shipped_starts() -> list[str]:
    """list[str]: Names of the starts that come with mmloc."""
    return sorted(path.stem for path in STARTS.glob('*.py'))


def find_start(name: str) -> str:
    """Find the file of a start.

    Args:
        name (str): Name of a shipped start, or path of a file.

    Returns:
        str: The path.

    Raises:
        ValueError: It is neither.
    """
    if name in shipped_starts():
        return str(STARTS / f'{name}.py')
    if Path(name).is_file():
        return name
    near = difflib.get_close_matches(name, shipped_starts(), n=1)
    hint = f'did you mean {near[0]!r}? ' if near else ''
    raise ValueError(f'start {name!r} is neither a file nor one of mmloc; '
                     f'{hint}There are {", ".join(shipped_starts())}')


def lay_start(cfg: Config, start: Config) -> None:
    """Lay a start over a protocol, or over another start's detector.

    Args:
        cfg (Config): A config with a ``start_family``; changed in place. Its
            ``start`` becomes the new one.
        start (Config): The config of the start.

    Raises:
        ValueError: If the config belongs to no family of protocols, or the
            start has nothing for that family.
    """
    family = cfg.get('start_family')
    if family is None:
        kind = (cfg.get('model') or {}).get('type', '')
        what = ('is for pretraining' if str(kind).startswith('mmloc.')
                else 'has no start_family')
        raise ValueError(
            f'config {cfg.filename} {what}, and a start is laid over a '
            'transfer protocol; take one of configs/transfer, or for weights '
            'alone --load-from')
    if not isinstance(start.get('start'), dict):
        raise ValueError(
            f'{start.filename} defines no start; write start = dict(name=..., '
            f'{family}=dict(model=..., optim_wrapper=..., load_from=...))')
    if not isinstance(start.start.get(family, {}), dict):
        raise ValueError(
            f'start {start.filename} has {start.start[family]!r} for family '
            f'{family!r}, expected dict(model=..., optim_wrapper=..., '
            'load_from=...)')
    if family not in start.start:
        families = [key for key in start.start if key != 'name']
        raise ValueError(
            f'start {start.filename} has nothing for protocols of family '
            f'{family!r}, only for {", ".join(families) or "none"}; add it')
    # Instead of being merged with the former one.
    cfg.start = start.start
    cfg.merge_from_dict(start.start[family].to_dict())


def check_start(cfg: Config) -> None:
    """Refuse a config that has a start among its bases and not its weights.

    Args:
        cfg (Config): Any config.

    Raises:
        ValueError: If training it would begin from new weights, in the name
            of a start.
    """
    family = cfg.get('start_family')
    weights = _part(cfg).get('load_from')
    if weights is not None and cfg.get('load_from') is None:
        raise ValueError(
            f'config {cfg.filename} has the start {cfg.start.name!r} among '
            f'its bases, but would train from new weights, not {weights!r}; '
            f'write load_from = _base_.start.{family}.load_from, and so for '
            'model and optim_wrapper, or take the start out')


def departures(cfg: Config) -> list[str]:
    """Find where a model is not as its start says.

    Args:
        cfg (Config): Any config.

    Returns:
        list[str]: Settings with dotted keys; none if the config has no start.
    """
    return _differences(_part(cfg).get('model', {}), cfg.get('model'),
                        'model')


def _part(cfg: Config) -> dict:
    """What a config's start says for its family, {} if there is none."""
    return (cfg.get('start') or {}).get(cfg.get('start_family'), {})


def _differences(wanted: object, found: object, name: str) -> list[str]:
    if not isinstance(wanted, dict):
        return [] if wanted == found else [name]
    found = found if isinstance(found, dict) else {}
    return [difference for key, value in wanted.items() for difference in
            _differences(value, found.get(key), f'{name}.{key}')]


def describe_start(cfg: Config) -> str:
    """Say in a line what a transfer protocol begins from.

    Args:
        cfg (Config): A config with a ``start_family``.

    Returns:
        str: The line, for the log.
    """
    name = (cfg.get('start') or {}).get('name', 'scratch')
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    init_cfgs = backbone.get('init_cfg') or []
    sources = [
        init_cfg.get('checkpoint')
        for init_cfg in ([init_cfgs] if isinstance(init_cfgs, dict)
                         else init_cfgs)
    ] + [cfg.get('load_from')]
    return (f'Start {name!r} of a protocol of family {cfg.start_family!r}, '
            f'weights: {", ".join(filter(None, sources)) or "new"}.')
