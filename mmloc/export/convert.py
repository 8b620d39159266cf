# Copyright (c) mmloc contributors. All rights reserved.
"""From the weights of any project that is known here to those of another."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmloc import __version__

from .detector import (
    from_detectron2,
    short_name,
    to_detectron2,
    to_torchvision,
)
from .files import ending
from .names import some, unwrap
from .official import DETECTOR_PARTS, detector_of, from_official, to_official

#: What the names of a detector's weights become, from mmdet's.
_DETECTORS = {
    'mmdet': lambda state: (dict(state), []),
    'detectron2': to_detectron2,
    'torchvision': to_torchvision,
    'timm': to_torchvision,
}
#: All that a checkpoint can be converted to.
TARGETS = ('mmloc', 'official', *_DETECTORS, 'safetensors')
#: How files for a target end; the others end as one likes, but not so.
_ENDINGS = {
    'detectron2': '.pkl',
    'safetensors': '.safetensors',
    'official': '.pth'
}


@dataclass(frozen=True)
class Origin:
    """What a checkpoint is.

    Attributes:
        project (str): 'mmloc', 'official', 'mmdet' or 'detectron2'.
        method (str, optional): 'InsLoc' or 'SoCo', None for a detector.
        arch (str): 'FPN' or 'C4'.
    """
    project: str
    method: str | None
    arch: str


@dataclass(frozen=True)
class Conversion:
    """A converted checkpoint.

    Attributes:
        origin (Origin): What it was.
        state (dict[str, Tensor]): The weights by their new names.
        left_out (list[str]): Old names of weights that have none.
        meta (dict): What is known of the run.
        content (dict): What is written: ``state`` and ``meta`` in the form
            that the target reads.
    """
    origin: Origin
    state: dict[str, Tensor]
    left_out: list[str]
    meta: dict
    content: dict


def convert_checkpoint(checkpoint: Mapping[str, Any],
                       to: str,
                       network: str = 'online',
                       steps: int | None = None) -> Conversion:
    """Convert a checkpoint: its weights, and what is known of its run.

    Optimizer and schedules are left out. They belong to a run.

    Args:
        checkpoint (Mapping[str, Any]): A checkpoint of a pretraining by
            mmloc or the official code, of a detector of mmdet or detectron2,
            or a bare state dict of these. Its names tell.
        to (str): One of :data:`TARGETS`. 'mmloc', 'official' and
            'safetensors' (by mmloc's names) hold a whole pretraining, the
            others a detector's part of it.
        network (str): 'online' or 'target', of which the detector's part is
            taken. Defaults to 'online', as published.
        steps (int, optional): See :func:`~mmloc.export.from_official`. By
            default 1.

    Returns:
        Conversion: The new weights, and what was left out.

    Raises:
        ValueError: If names are unknown or missing, or the target needs what
            the checkpoint does not have.
    """
    state = _weights(checkpoint)
    origin = recognize(state)
    whole = to not in _DETECTORS
    _check_options(origin, to, network, steps)
    if whole:
        left_out = []
        if origin.project == 'official':
            state = from_official(state, origin.method, origin.arch,
                                  1 if steps is None else steps)
        if to == 'official':
            state = to_official(state, origin.method, origin.arch)
    else:
        detector, left_out = _detector(state, origin, network)
        state, more = _DETECTORS[to](detector)
        left_out += more
    meta = _meta(checkpoint, origin, None if whole else network)
    return Conversion(origin, state, left_out, meta,
                      _content(state, meta, origin, to))


def recognize(state: Mapping[str, Tensor]) -> Origin:
    """Tell by the names whose weights these are.

    Args:
        state (Mapping[str, Tensor]): Weights by name.

    Returns:
        Origin: What they are.

    Raises:
        ValueError: If the names are of no known project.
    """
    state = unwrap(state)
    roots = {name.split('.')[0] for name in state}
    arch = 'FPN' if 'neck' in roots else 'C4'
    if 'encoder' in roots:
        return Origin('official', 'SoCo', arch)
    if 'backbone_k' in roots:
        return Origin('official', 'InsLoc', arch)
    if {'backbone', 'target'} <= roots:
        method = 'SoCo' if 'predictor' in roots else 'InsLoc'
        return Origin('mmloc', method, arch)
    if any(short_name(name).startswith('stem.conv1.') for name in state):
        arch = 'FPN' if any('fpn_' in name for name in state) else 'C4'
        return Origin('detectron2', None, arch)
    if 'backbone' in roots:
        shared = any('roi_head.shared_head.' in name for name in state)
        return Origin('mmdet', None, 'C4' if shared else 'FPN')
    raise ValueError(
        'these are the weights of no pretraining or detector that is known '
        'here: their names start with '
        f'{some(roots)}, but with backbone (mmloc, mmdet, InsLoc), encoder '
        '(SoCo) or stem (detectron2) in what can be converted; give such a '
        'checkpoint')


def check_ending(path: str, to: str) -> None:
    """Refuse a file name that does not suit what is written.

    Args:
        path (str): The file.
        to (str): One of :data:`TARGETS`.

    Raises:
        ValueError: If the project that reads the file takes it for another
            kind.
    """
    kind = ending(path)
    wanted = _ENDINGS.get(to)
    if wanted not in (None, kind) or (wanted is None and kind == '.pkl'):
        raise ValueError(
            f'{path!r} ends as a file of another kind than that for {to}: '
            f'let its name end in {wanted or ".pth or .safetensors"}')


def _weights(checkpoint: Mapping[str, Any]) -> Mapping[str, Tensor]:
    state = checkpoint.get('model', checkpoint.get('state_dict', checkpoint))
    if not isinstance(state, Mapping):
        raise ValueError(
            f'the weights are a {type(state).__name__}, but a dict of tensors '
            'by name is needed: save the state_dict() of the network')
    return state


def _check_options(origin: Origin, to: str, network: str,
                   steps: int | None) -> None:
    if to not in TARGETS or network not in ('online', 'target'):
        raise ValueError(
            f'to is {to!r} and network is {network!r}, but the choices are '
            f'{", ".join(TARGETS)}, and online or target')
    whole = to not in _DETECTORS
    if origin.method is None and (whole or network == 'target'):
        raise ValueError(
            f'this checkpoint of {origin.project} has the weights of one '
            f'network, but {"--to " + to if whole else "--network target"} '
            'needs those of a pretraining; give its checkpoint'
            + (', or take --to mmdet, which configs load' if whole else ''))
    if whole and network == 'target':
        raise ValueError(
            f'--to {to} takes both networks along, but --network target '
            'picks one: leave it out')
    if steps is not None and (origin.project != 'official' or not whole):
        raise ValueError(
            'steps is the number of updates that an official checkpoint does '
            f'not hold, but {origin.project} is converted to {to}: leave it '
            'out')


def _detector(state: Mapping[str, Tensor], origin: Origin, network: str
              ) -> tuple[dict[str, Tensor], list[str]]:
    """A detector's part under mmdet's names, and what is left out."""
    if origin.project == 'official':
        return detector_of(state, origin.method, origin.arch, network)
    state = unwrap(state)
    if origin.project == 'detectron2':
        return from_detectron2(state)
    root = 'target.module.' if network == 'target' else ''
    parts = tuple(root + part for part in DETECTOR_PARTS)
    detector = {name.removeprefix(root): tensor
                for name, tensor in state.items() if name.startswith(parts)}
    return detector, [name for name in state if not name.startswith(parts)]


def _meta(checkpoint: Mapping[str, Any], origin: Origin,
          network: str | None) -> dict:
    """What is known of the run. The schedules of SoCo's code step once per
    iteration, as its target does."""
    meta = checkpoint.get('meta', checkpoint)
    scheduler = checkpoint.get('scheduler', {})
    run = dict(
        project=origin.project,
        method=origin.method,
        architecture=origin.arch,
        network=network,
        epoch=meta.get('epoch'),
        iter=meta.get('iter', scheduler.get('last_epoch')))
    run = {name: value for name, value in run.items() if value is not None}
    return dict(mmloc_version=__version__, converted_from=run)


def _content(state: dict[str, Tensor], meta: dict, origin: Origin,
             to: str) -> dict:
    run = meta['converted_from']
    if to in ('torchvision', 'timm'):
        return state
    if to == 'detectron2':
        return dict(
            model=state, __author__='mmloc', matching_heuristics=True)
    if to == 'official' and origin.method == 'SoCo':
        return dict(model=state, epoch=run.get('epoch', 0))
    if to == 'official':
        run = dict(epoch=run.get('epoch', 0), iter=run.get('iter', 0))
        return dict(meta=run, state_dict=state)
    return dict(meta=meta, state_dict=state)
