# Copyright (c) mmloc contributors. All rights reserved.
"""Tell in which iteration a loss or gradients were not finite, and why."""
import json
import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from .batches import broken_img_paths_of, img_paths_of

#: How many images the sentence names; the file has all of them.
_NUM_SHOWN = 8


def describe_step(model: nn.Module, batches: Sequence[Any],
                  losses: dict[str, float], loss_finite: bool,
                  bad_gradients: Sequence[int]) -> dict:
    """Gather what one rank knows of a step that must not be taken.

    Args:
        model (nn.Module): The model.
        batches (Sequence): The batches, as the data loader gave them.
        losses (dict[str, float]): Of the last of them.
        loss_finite (bool): Whether the losses of all of them are finite.
        bad_gradients (Sequence[int]): ``id`` of each parameter with a
            gradient that is not.

    Returns:
        dict: These facts, with the names of parameters and images, as JSON
        can store them.
    """
    params = dict(model.named_parameters())
    return dict(
        losses={
            name: value if math.isfinite(value) else str(value)
            for name, value in losses.items()
        },
        loss_finite=loss_finite,
        bad_gradients=[
            name for name, p in params.items() if id(p) in bad_gradients
        ],
        bad_weights=[
            name for name, p in params.items() if not p.isfinite().all()
        ],
        bad_images=list(chain(*map(broken_img_paths_of, batches))),
        images=list(chain(*map(img_paths_of, batches))))


def sentence(iteration: int, ranks: Sequence[dict]) -> str:
    """Say what happened, and which images may be why.

    Args:
        iteration (int): Number of the iteration, from 1.
        ranks (Sequence[dict]): :func:`describe_step` of each rank.

    Returns:
        str: One sentence.
    """
    suspects = [x for x in ranks if not x['loss_finite']] or ranks
    first = suspects[0]
    what = ('the gradients are not finite, though the loss is'
            if first['loss_finite'] else 'the loss is not finite')
    losses = ', '.join(f'{k} {v}' if isinstance(v, str) else f'{k} {v:.4g}'
                       for k, v in first['losses'].items())
    bad = first['bad_gradients']
    if bad:
        losses += f'; gradients of {len(bad)} parameters, first {bad[0]}'
    images = _shorten([path for x in suspects for path in x['images']])
    broken = _shorten([path for x in suspects for path in x['bad_images']])
    why = (f'not finite are the pixels or boxes of {broken}' if broken else
           f'it may be one of {images}' if images else
           'the batch names no images')
    return f'Iteration {iteration}: {what} ({losses}); {why}.'


def write_report(path: Path, iteration: int, ranks: Sequence[dict]) -> None:
    """Append a line of JSON for each rank.

    Args:
        path (Path): The file. If it cannot be written, a warning says so.
        iteration (int): Number of the iteration, from 1.
        ranks (Sequence[dict]): :func:`describe_step` of each rank.
    """
    lines = [
        json.dumps(dict(iteration=iteration, rank=rank, **facts)) + '\n'
        for rank, facts in enumerate(ranks)
    ]
    try:
        with open(path, 'a', encoding='utf-8') as file:
            file.writelines(lines)
    except OSError as error:
        print_log(f'{path} cannot be written ({error}).', 'current')


def _shorten(paths: list[str]) -> str:
    more = len(paths) - _NUM_SHOWN
    return ', '.join(map(repr, paths[:_NUM_SHOWN])) + (
        f' and {more} more' if more > 0 else '')
