# Copyright (c) mmloc contributors. All rights reserved.
"""The same weights under the names of another architecture (pure functions).

A backbone alone, a detector with FPN and one on the stride-16 map (C4) name
the layers of one ResNet differently, and a pyramid that begins at C3 counts
its levels from there. A checkpoint of the one is fitted to the other here.
"""
from collections.abc import Collection, Mapping

from torch import Tensor

#: The last stage of a ResNet: of a backbone, and as C4's shared RoI head.
_LAST_STAGES = ('backbone.layer4.', 'roi_head.shared_head.layer4.')
#: The 1x1 convolutions between a backbone and its FPN.
_LATERALS = 'neck.lateral_convs.'


def fit_checkpoint(state: Mapping[str, Tensor],
                   model_state: Mapping[str, Tensor]
                   ) -> tuple[dict[str, Tensor], list[str]]:
    """Give a checkpoint's tensors the names that they have in a model.

    Nothing changes where the names agree already.

    Args:
        state (Mapping[str, Tensor]): The checkpoint's ``state_dict()``.
        model_state (Mapping[str, Tensor]): The model's.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The checkpoint with other names,
        and what was done, a sentence each.
    """
    state, notes = _fit_backbone(dict(state), model_state)
    state, more = _fit_last_stage(state, model_state)
    notes += more
    state, more = _fit_pyramid(state, model_state)
    return state, notes + more


def _fit_backbone(state: dict, model_names: Collection[str]
                  ) -> tuple[dict, list[str]]:
    """``layer1.0.conv1.weight``, as in torchvision, to ``backbone.*``."""
    if _has(state, 'backbone.'):
        return state, []
    parts = {name.split('.')[1] for name in model_names
             if name.startswith('backbone.')}
    if _has(model_names, _LAST_STAGES[1]):
        parts.add('layer4')
    fitted = {
        f'backbone.{name}' if name.split('.')[0] in parts else name: value
        for name, value in state.items()
    }
    count = len(fitted.keys() - state.keys())
    return fitted, [f'{count} tensors of a network alone are taken as '
                    'backbone.*'] if count else []


def _fit_last_stage(state: dict, model_names: Collection[str]
                    ) -> tuple[dict, list[str]]:
    """Between a backbone of 4 stages and C4, in both directions."""
    for theirs, ours in (_LAST_STAGES, _LAST_STAGES[::-1]):
        if (_has(state, theirs) and _has(model_names, ours)
                and not _has(state, ours) and not _has(model_names, theirs)):
            fitted = {
                ours + name[len(theirs):] if name.startswith(theirs) else name:
                value for name, value in state.items()
            }
            return fitted, [f'{theirs}* is taken as {ours}*']
    return state, []


def _fit_pyramid(state: dict, model_state: Mapping[str, Tensor]
                 ) -> tuple[dict, list[str]]:
    """Between an FPN over all stages and one that leaves out the first ones,
    in both directions: their first widths tell which stages they are."""
    theirs, ours = _widths(state), _widths(model_state)
    if not theirs or not ours or theirs[0] == ours[0]:
        return state, []
    if ours[0] in theirs:
        shift = theirs.index(ours[0])
        note = (f'levels of the neck are counted from {shift}, and those '
                'before are left out')
    elif theirs[0] in ours:
        shift = -ours.index(theirs[0])
        note = (f'levels of the neck are counted on from {-shift}, and those '
                'before are new')
    else:
        return state, []
    fitted = {}
    for name, value in state.items():
        parts = name.split('.')
        if name.startswith((_LATERALS, 'neck.fpn_convs.')):
            level = int(parts[2]) - shift
            if level < 0:
                continue
            parts[2] = str(level)
        fitted['.'.join(parts)] = value
    return fitted, [note]


def _has(names: Collection[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _widths(state: Mapping[str, Tensor]) -> list[int]:
    """Channels of the maps that a network's FPN takes."""
    widths = {int(name.split('.')[2]): value.shape[1]
              for name, value in state.items()
              if name.startswith(_LATERALS) and value.ndim == 4}
    return [widths[level] for level in sorted(widths)]
