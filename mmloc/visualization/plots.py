# Copyright (c) mmloc contributors. All rights reserved.
"""What all plots have in common."""
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .drawing import PALETTE


def mpl_color(name: str) -> tuple[float, float, float]:
    """Turn a colour into that of matplotlib.

    Args:
        name (str): A name in :data:`~.drawing.PALETTE`.

    Returns:
        tuple[float, float, float]: RGB from 0 to 1.
    """
    return tuple(value / 255 for value in PALETTE[name][::-1])


def style_axes(axes: Axes, title: str, xlabel: str, ylabel: str = '') -> None:
    """Give axes their texts and the looks of all others.

    Args:
        axes (Axes): What is drawn into.
        title (str): What the plot shows.
        xlabel (str): With the unit.
        ylabel (str): With the unit. Defaults to '', none.
    """
    axes.set_title(title, fontsize=10, loc='left')
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(labelsize=8)


def as_image(figure: Figure) -> np.ndarray:
    """Render a figure.

    Args:
        figure (Figure): Made without pyplot, which would keep it and choose
            a window system.

    Returns:
        np.ndarray: (H, W, 3), uint8, BGR.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba())
    return np.ascontiguousarray(rgba[..., 2::-1])
