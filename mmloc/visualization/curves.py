# Copyright (c) mmloc contributors. All rights reserved.
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .plots import as_image, mpl_color, style_axes

_COLORS = [mpl_color(name) for name in ('blue', 'vermilion', 'green',
                                        'purple', 'sky', 'orange')]


def read_scalars(log: str, key: str) -> tuple:
    """Read one scalar of a log that mmengine wrote.

    Args:
        log (str): A ``scalars.json``, or the work dir of a run, whose latest
            ``TIMESTAMP/vis_data/scalars.json`` is taken.
        key (str): Name of the scalar, such as 'loss' or 'coco/bbox_mAP'.

    Returns:
        tuple[np.ndarray, np.ndarray]: Steps and values, (P, ) each.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such log, or has no such scalar.
    """
    entries = _read_log(log)
    points = [(e['step'], e[key]) for e in entries if {'step', key} <= set(e)]
    if not points:
        known = sorted({name for entry in entries for name in entry})
        raise ValueError(f'{str(log)!r} has no {key!r}, expected one of '
                         f'{", ".join(known) or "some values"}.')
    steps, values = np.array(points, float).T
    return steps, values


def _read_log(log: str) -> list:
    """Read the lines of a log, which are dicts of scalars."""
    path = Path(log)
    if path.is_dir():
        runs = sorted(path.glob('*/vis_data/scalars.json'))
        if not runs:
            raise FileNotFoundError(
                f'The folder {str(log)!r} holds no TIMESTAMP/vis_data/'
                'scalars.json, expected the work dir of a run.')
        path = runs[-1]
    lines = path.read_text().splitlines()
    try:
        return [dict(json.loads(line)) for line in lines if line.strip()]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'{str(path)!r} is not a scalar log of mmengine ({error}), '
            'expected the scalars.json of a run.') from error


def draw_loss_curve(log: str) -> np.ndarray:
    """Draw the loss of a pretraining run, and its accuracies or terms.

    Args:
        log (str): As in :func:`read_scalars`.

    Returns:
        np.ndarray: A picture, (H, W, 3), uint8, BGR: 'loss' on the left and,
        where the log has any, every ``acc_*`` on the right; without these
        every ``loss_*``, if there are several.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no log, or has no 'loss'.
    """
    loss = {'loss': read_scalars(log, 'loss')}
    panels = [('training loss', 'iteration', loss)]
    keys = {key for entry in _read_log(log) for key in entry}
    for prefix, title, fewest in (
            ('acc_', 'top-1 accuracy on each level (%)', 1),
            ('loss_', 'terms of the loss', 2)):
        parts = {
            key.removeprefix(prefix).replace('_', ' '): read_scalars(log, key)
            for key in sorted(keys) if key.startswith(prefix)
        }
        if len(parts) >= fewest:
            panels.append((title, 'iteration', parts))
            break
    return _draw(panels)


def draw_curves(logs: Mapping,
                key: str,
                title: str,
                xlabel: str = 'epoch') -> np.ndarray:
    """Draw one scalar of several runs into one picture.

    Args:
        logs (Mapping[str, str]): Name of the run -> its log, as in
            :func:`read_scalars`.
        key (str): Name of the scalar, such as 'coco/bbox_mAP'.
        title (str): What the picture shows, with the unit.
        xlabel (str): What mmengine's step counts: iterations in training
            lines, epochs in validation lines. Defaults to 'epoch'.

    Returns:
        np.ndarray: The picture, (H, W, 3), uint8, BGR.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is no log, or has no such scalar.
    """
    series = {name: read_scalars(log, key) for name, log in logs.items()}
    return _draw([(title, xlabel, series)])


def _draw(panels: list) -> np.ndarray:
    """Draw (title, xlabel, {name: (steps, values)}) next to each other."""
    figure = Figure((5.2 * len(panels), 3.4), dpi=120, layout='constrained')
    for i, (title, xlabel, series) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for color, (name, (steps, values)) in zip(_COLORS * 9, series.items()):
            # A long noisy line is shown faintly behind its moving mean.
            width = len(values) // 20
            if width > 1:
                axes.plot(steps, values, color=color, alpha=0.2, lw=1)
            axes.plot(
                steps,
                _moving_mean(values, width),
                color=color,
                lw=1.8,
                marker='o' if len(values) < 20 else None,
                ms=4,
                label=name)
        style_axes(axes, title, xlabel)
        if len(series) > 1:
            axes.legend(fontsize=8, frameon=False)
    return as_image(figure)


def _moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Average over a centred window that shrinks towards both ends."""
    half = width // 2
    return np.array([
        values[max(i - half, 0):i + half + 1].mean()
        for i in range(len(values))
    ])
