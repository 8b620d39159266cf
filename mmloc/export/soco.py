# Copyright (c) mmloc contributors. All rights reserved.
"""The official checkpoints of SoCo (FPN, SoCo* and C4), and mmloc's.

Both hold the same tensors in the same shapes under other names. SoCo* has the
network of FPN: it differs by its views only.
"""
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mmloc import __version__

#: How names of the online network start, there and here. The first that fits
#: counts. This table is all that is known about names.
_STARTS = {
    'FPN': {
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
    'C4': {
        'encoder.layer4.': 'roi_head.shared_head.layer4.',
        'encoder.': 'backbone.',
        'projector.': 'projector.',
    },
}
_WRAPPER = 'module.'  # of DistributedDataParallel
_STEPS = 'target.steps'
#: Buffers of the official C4 network that nothing reads: their shapes in the
#: published settings, and types.
_DEAD = {
    'queue': ((128, 65536), torch.float32),
    'queue_ptr': ((1, ), torch.int64)
}


def from_official(state: Mapping[str, Tensor],
                  steps: int = 1) -> dict[str, Tensor]:
    """Give official weights the names of :class:`mmloc.models.SoCo`.

    The official files do not hold the number of updates of the target
    network, which mmloc saves. At 0 the first update would copy the online
    network over the target; at the length of the momentum schedule the
    target would never move again. The default, 1, keeps the target and
    starts the schedule anew, as the learning rate does when training starts
    from weights.

    Args:
        state (Mapping[str, Tensor]): Official weights, with or without
            ``module.`` before each name. The dead queue of C4 is left out.
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
    state = {
        name: tensor
        for name, tensor in _unwrapped(state).items() if name not in _DEAD
    }
    renamed = _rename(state, _twins(_kind(state)))
    return renamed | {_STEPS: torch.tensor(steps)}


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of :class:`mmloc.models.SoCo` their official names.

    Args:
        state (Mapping[str, Tensor]): The ``state_dict`` of a checkpoint.

    Returns:
        dict[str, Tensor]: The same tensors without the number of updates,
        with ``module.`` before each name, and for C4 the dead queue (zeros),
        which the official network has.

    Raises:
        ValueError: If names are unknown or missing.
    """
    state = _unwrapped(state)
    state.pop(_STEPS, None)
    kind = _kind(state)
    renamed = _rename(state, [{ours: theirs for theirs, ours in group.items()}
                              for group in _twins(kind)])
    if kind == 'C4':
        for name, (shape, dtype) in _DEAD.items():
            renamed[name] = torch.zeros(shape, dtype=dtype)
    return {_WRAPPER + name: tensor for name, tensor in renamed.items()}


def convert_soco(checkpoint: dict, to: str | None = None,
                 steps: int = 1) -> dict:
    """Convert a checkpoint: its weights, and what is known of its run.

    Optimizer and schedules are left out. They belong to a run, and the
    published files are of runs that have ended.

    Args:
        checkpoint (dict): An official checkpoint, one of mmloc, or a bare
            state dict of either.
        to (str, optional): 'official' or 'mmloc'. By default the one that
            the names are not.
        steps (int): See :func:`from_official`. Defaults to 1.

    Returns:
        dict: ``meta`` and ``state_dict`` for mmloc; ``model`` and ``epoch``
        for the official code.

    Raises:
        ValueError: If this is no checkpoint of SoCo.
    """
    state = checkpoint.get('model', checkpoint.get('state_dict', checkpoint))
    if not isinstance(state, Mapping):
        raise ValueError(
            f'the weights are a {type(state).__name__}, but a dict of tensors '
            'by name is needed: save the state_dict() of the network')
    if (to or _other_side(state)) == 'official':
        epoch = checkpoint.get('meta', {}).get('epoch', 0)
        return dict(model=to_official(state), epoch=epoch)
    state = from_official(state, steps)
    # The official schedules step once per iteration, as the target does.
    run = dict(
        network=_kind(state),
        epoch=checkpoint.get('epoch'),
        iter=checkpoint.get('scheduler', {}).get('last_epoch'))
    meta = dict(mmloc_version=__version__, converted_from=run)
    return dict(meta=meta, state_dict=state)


def _other_side(state: Mapping[str, Tensor]) -> str:
    roots = {name.split('.')[0] for name in _unwrapped(state)}
    if not roots & {'encoder', 'backbone'}:
        raise ValueError(
            'these are no weights of SoCo, whose names start with encoder '
            f'(official) or backbone (mmloc) and not with {_some(roots)}; '
            'give a checkpoint of its pretraining')
    return 'mmloc' if 'encoder' in roots else 'official'


def _kind(state: Mapping[str, Tensor]) -> str:
    """The network, told by names of either side."""
    return 'FPN' if any(name.startswith('neck.') for name in state) else 'C4'


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {str(name).removeprefix(_WRAPPER): x for name, x in state.items()}


def _twins(kind: str) -> list[dict[str, str]]:
    """How all names start, there and here, grouped by modules of the same
    layers: online and target network, and projector and predictor."""
    groups = []
    for theirs, ours in _STARTS[kind].items():
        target = theirs.replace('.', '_k.', 1)
        groups.append({theirs: ours, target: f'target.module.{ours}'})
        if theirs == 'projector.':
            groups[-1]['predictor.'] = 'predictor.'
    return groups


def _rename(state: Mapping[str, Tensor],
            twins: list[dict[str, str]]) -> dict[str, Tensor]:
    """Replace the starts of all names; twins must have the same endings."""
    new = {old: start for group in twins for old, start in group.items()}
    endings = {start: set() for start in new}
    renamed, unknown = {}, []
    for name, tensor in state.items():
        start = next((old for old in new if name.startswith(old)), None)
        if start is None:
            unknown.append(name)
            continue
        ending = name[len(start):]
        endings[start].add(ending)
        renamed[new[start] + ending] = tensor
    missing = []
    for group in twins:
        # A layer that is nowhere has at least a weight.
        wanted = set().union(*(endings[old] for old in group)) or {'weight'}
        missing += [old + ending for old in group
                    for ending in wanted - endings[old]]
    if unknown or missing:
        raise ValueError(
            f'these are not the weights of a {_kind(state)} network of SoCo, '
            f'unknown names: {_some(unknown)}, missing names: '
            f'{_some(missing)}; give a whole checkpoint of its pretraining')
    return renamed


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return (', '.join(names[:3]) or 'none') + more
