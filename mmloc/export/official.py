# Copyright (c) mmloc contributors. All rights reserved.
"""Names in the official code of InsLoc and SoCo, and in mmloc.

Both sides hold the same tensors in the same shapes. SoCo* has the network of
FPN: it differs by its views only. Of InsLoc-C4 weights were published, but no
code. What is known of its names is what the published converter to detectron2
reads, ``backbone`` and ``roi_head.shared_head``; the rest is inferred from
the classes of InsLoc-FPN.
"""
from collections.abc import Mapping

import torch
from torch import Tensor

from .names import inverse, missing_names, rename, some, unwrap

#: Where the weights are that a detector has.
DETECTOR_PARTS = ('backbone.', 'neck.', 'roi_head.')
#: How names of the online network start, there and here.
_STARTS = {
    ('InsLoc', 'FPN'): {
        **{part: part for part in (
            'backbone.', 'neck.', 'roi_head.bbox_head.shared_convs.',
            'roi_head.bbox_head.shared_fcs.')},
        'roi_head.bbox_head.fc_cls.': 'projector.',
    },
    ('InsLoc', 'C4'): {
        'backbone.': 'backbone.',
        'roi_head.shared_head.': 'roi_head.shared_head.',
        # Inferred: the two layers of the head of InsLoc-FPN without its
        # convolutions and with one hidden layer.
        'roi_head.bbox_head.shared_fcs.0.': 'projector.linear1.',
        'roi_head.bbox_head.fc_cls.': 'projector.linear2.',
    },
    ('SoCo', 'FPN'): {
        'encoder.': 'backbone.',
        'neck.': 'neck.',
        **{
            f'head.{layer}{i + 1}.':
            f'roi_head.bbox_head.shared_convs.{i}.{layer}.'
            for i in range(4) for layer in ('conv', 'bn')
        },
        'head.fc1.': 'roi_head.bbox_head.shared_fcs.0.',
        'projector.': 'projector.',
    },
    ('SoCo', 'C4'): {
        'encoder.layer4.': 'roi_head.shared_head.layer4.',
        'encoder.': 'backbone.',
        'projector.': 'projector.',
    },
}
#: Groups of what only the online network has, there and here. The modules of
#: a group have the same layers.
_ONLINE_ONLY = {
    'InsLoc': [{'queues': 'head.queue.features'},
               {'queue_ptr': 'head.queue.pointer'}],
    'SoCo': [{'predictor.': 'predictor.', 'projector.': 'projector.'}],
}
#: Buffers of the official networks that nothing reads.
_DEAD = {'InsLoc': ('queue', ), 'SoCo': ('queue', 'queue_ptr')}
_STEPS = 'target.steps'


def from_official(state: Mapping[str, Tensor], method: str, arch: str,
                  steps: int = 1) -> dict[str, Tensor]:
    """Give official weights the names of :mod:`mmloc.models.algorithms`.

    The official files do not hold the number of updates of the target
    network, which mmloc saves. At 0 the first update would copy the online
    network over the target; at the length of SoCo's momentum schedule the
    target would never move again. The default, 1, keeps the target and
    starts the schedule anew, as the learning rate does when training starts
    from weights.

    Args:
        state (Mapping[str, Tensor]): Official weights, with or without
            ``module.`` before each name. Buffers that nothing reads are left
            out.
        method (str): 'InsLoc' or 'SoCo'.
        arch (str): 'FPN' or 'C4'.
        steps (int): Number of updates of the target so far. Defaults to 1.

    Returns:
        dict[str, Tensor]: The same tensors, and the number of updates.

    Raises:
        ValueError: If names are unknown or missing, or steps is below 1.
    """
    if steps < 1:
        raise ValueError(
            f'steps is {steps}, but it must be 1 or more: at 0 the first '
            'update would copy the online network over the target')
    state = unwrap(state)
    if method == 'InsLoc' and arch == 'C4' and 'queues' not in state:
        if 'queue' in state:  # inferred: of the single level
            state['queues'] = state['queue'][None]
    state = {k: v for k, v in state.items() if k not in _DEAD[method]}
    renamed = _rename_all(state, _twins(method, arch), method, arch)
    return renamed | {_STEPS: torch.tensor(steps)}


def to_official(state: Mapping[str, Tensor], method: str,
                arch: str) -> dict[str, Tensor]:
    """Give the weights of a pretraining their official names.

    Args:
        state (Mapping[str, Tensor]): The ``state_dict`` of a checkpoint.
        method (str): 'InsLoc' or 'SoCo'.
        arch (str): 'FPN' or 'C4'.

    Returns:
        dict[str, Tensor]: The same tensors without the number of updates,
        and the buffers that nothing reads (zeros) where the official network
        has them; for SoCo with ``module.`` before each name, as there.

    Raises:
        ValueError: If names are unknown or missing.
    """
    state = unwrap(state)
    state.pop(_STEPS, None)
    twins = [inverse(group) for group in _twins(method, arch)]
    renamed = _rename_all(state, twins, method, arch)
    if method == 'InsLoc':
        renamed['queue'] = torch.zeros_like(renamed['queues'][0])
        return renamed
    if arch == 'C4':  # in the published settings
        renamed['queue'] = torch.zeros(128, 65536)
        renamed['queue_ptr'] = torch.zeros(1, dtype=torch.int64)
    return {f'module.{name}': tensor for name, tensor in renamed.items()}


def detector_of(state: Mapping[str, Tensor], method: str, arch: str,
                network: str) -> tuple[dict[str, Tensor], list[str]]:
    """Take what a detector has from official weights, under mmdet's names.

    Other weights may have any name: they are left out.

    Args:
        state (Mapping[str, Tensor]): Official weights.
        method (str): 'InsLoc' or 'SoCo'.
        arch (str): 'FPN' or 'C4'.
        network (str): 'online' or 'target'.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The detector's weights, and the
        names of the others.

    Raises:
        ValueError: If weights of the detector are missing.
    """
    state = unwrap(state)
    online = {theirs: ours for theirs, ours in _STARTS[method, arch].items()
              if ours.startswith(DETECTOR_PARTS)}
    _check(method, arch, missing=missing_names(
        state, [(start, _target(start)) for start in online]))
    starts = online if network == 'online' else {
        _target(theirs): ours for theirs, ours in online.items()}
    return rename(state, starts)


def _target(start: str) -> str:
    """The start in the official target network: ``backbone_k.``."""
    return start.replace('.', '_k.', 1)


def _twins(method: str, arch: str) -> list[dict[str, str]]:
    """How all names start, there and here, grouped by modules of the same
    layers, as online and target network."""
    return [
        {theirs: ours, _target(theirs): f'target.module.{ours}'}
        for theirs, ours in _STARTS[method, arch].items()
    ] + _ONLINE_ONLY[method]


def _rename_all(state: Mapping[str, Tensor], twins: list[dict[str, str]],
                method: str, arch: str) -> dict[str, Tensor]:
    renamed, unknown = rename(
        state, {old: new for group in twins for old, new in group.items()})
    _check(method, arch, missing_names(state, twins), unknown)
    return renamed


def _check(method: str, arch: str, missing: list[str],
           unknown: list[str] = ()) -> None:
    if unknown or missing:
        inferred = (
            ' (the names of its projection are inferred, see '
            'docs/checkpoints.md; --to mmdet takes what a detector needs)'
            if (method, arch) == ('InsLoc', 'C4') and unknown else '')
        raise ValueError(
            f'these are not the weights of a {arch} network of {method}, '
            f'unknown names: {some(unknown)}, missing names: {some(missing)}; '
            f'give a whole checkpoint of its pretraining{inferred}')
