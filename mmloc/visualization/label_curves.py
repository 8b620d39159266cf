# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from .curves import _COLORS
from .plots import as_image, style_axes


def draw_label_curves(scores: Mapping, title: str, ylabel: str) -> np.ndarray:
    """Draw scores against the number of labelled images.

    Args:
        scores (Mapping[str, Mapping[int, Sequence[float]]]): Name of the
            start -> number of images -> one score for each seed.
        title (str): What the picture shows.
        ylabel (str): What the scores are, with the unit.

    Returns:
        np.ndarray: The picture, (H, W, 3), uint8, BGR: for each start a line
        through the means, a bar from the lowest to the highest score and a
        dot for each, over a logarithmic axis.
    """
    figure = Figure((6.4, 4.2), dpi=120, layout='constrained')
    axes = figure.add_subplot()
    counts = sorted({n for values in scores.values() for n in values})
    axes.set_xscale('log')
    for i, (color, (name, values)) in enumerate(
            zip(_COLORS * 9, scores.items())):
        x = np.array(sorted(values), float)
        y = [np.asarray(values[n], float) for n in sorted(values)]
        # Side by side, as bars on each other could not be told apart.
        x *= 1.035**(i - (len(scores) - 1) / 2)
        means = np.array([np.mean(part) for part in y])
        spread = [means - [part.min() for part in y],
                  [part.max() for part in y] - means]
        axes.errorbar(x, means, spread, color=color, lw=1.8, elinewidth=1.2,
                      capsize=3, label=name)
        for place, part in zip(x, y):
            axes.plot(np.full(len(part), place), part, 'o', color=color, ms=4,
                      alpha=0.55, mew=0)
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f'{n:,}' for n in counts])
    axes.set_ylim(bottom=0)
    style_axes(axes, title, 'labelled images', ylabel)
    if scores:
        axes.legend(fontsize=8, frameon=False, loc='upper left')
    return as_image(figure)
