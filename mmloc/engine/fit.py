# Copyright (c) mmloc contributors. All rights reserved.
"""The same weights under the names of another architecture (pure functions).

A backbone alone, a detector with FPN and one on the stride-16 map (C4) name
the layers of one ResNet differently, and a pyramid that begins at C3 counts
its levels from there. A checkpoint of the one is fitted to the other here.
"""
from collections.abc import Collection, Mapping
from typing import TypeVar

Value = TypeVar('Value')

#: The last stage of a ResNet: of a backbone, and as C4's shared RoI head.
_LAST_STAGES = ('backbone.layer4.', 'roi_head.shared_head.layer4.')


def fit_checkpoint(state: Mapping[str, Value],
                   model_names: Collection[str],
                   start_level: int = 0) -> tuple[dict[str, Value], list[str]]:
    """Give a checkpoint's tensors the names that they have in a model.

    Nothing changes where the names agree already.

    Args:
        state (Mapping[str, Any]): The checkpoint's ``state_dict()``.
        model_names (Collection[str]): Names of the model's tensors.
        start_level (int): First stage of the backbone, from 0, that the
            model's FPN takes. Defaults to 0.

    Returns:
        tuple[dict[str, Any], list[str]]: The checkpoint with other names, and
        what was done, a sentence each.
    """
    state, notes = _fit_backbone(dict(state), model_names)
    state, more = _fit_last_stage(state, model_names)
    notes += more
    state, more = _fit_pyramid(state, model_names, start_level)
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


def _fit_pyramid(state: dict, model_names: Collection[str], start_level: int
                 ) -> tuple[dict, list[str]]:
    """An FPN over all stages to one that leaves out the first."""
    if len(_levels(state)) <= len(_levels(model_names)) or not start_level:
        return state, []
    fitted = {}
    for name, value in state.items():
        parts = name.split('.')
        if name.startswith(('neck.lateral_convs.', 'neck.fpn_convs.')):
            level = int(parts[2]) - start_level
            if level < 0:
                continue
            parts[2] = str(level)
        fitted['.'.join(parts)] = value
    return fitted, [f'levels of the neck are counted from {start_level}, and '
                    'those before are left out']


def _has(names: Collection[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _levels(names: Collection[str]) -> set[str]:
    """Which lateral convolutions a network's FPN has."""
    return {name.split('.')[2] for name in names
            if name.startswith('neck.lateral_convs.')}
