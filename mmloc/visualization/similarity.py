# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Mapping

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .plots import as_image, mpl_color


def draw_similarity(image: np.ndarray,
                    box: np.ndarray,
                    other: np.ndarray,
                    similarities: Mapping) -> np.ndarray:
    """Draw a box, and where in another image a network finds its like.

    Args:
        image (np.ndarray): (H, W, 3), uint8, BGR.
        box (np.ndarray): (4, ), xyxy in its pixels, drawn solid.
        other (np.ndarray): (H, W, 3), uint8, BGR, of any size.
        similarities (Mapping[str, BoxSimilarity]): Title of a panel -> the
            ``values`` over ``other``, (rows, columns), of which the colours
            span the range, and the best ``box``, drawn dashed.

    Returns:
        np.ndarray: The picture, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: There are no similarities.
    """
    if not similarities:
        raise ValueError('Got 0 similarities to draw, expected at least one.')
    panels = 1 + len(similarities)
    ratio = max(n.shape[0] / n.shape[1] for n in (image, other))
    figure = Figure((3.2 * panels, 3.2 * min(ratio, 2) + 1), dpi=120,
                    layout='constrained')
    figure.get_layout_engine().set(h_pad=0.08)
    axes, bars = figure.subplots(2, panels, height_ratios=(20, 1))
    _show(axes[0], image, 'the box')
    _draw_box(axes[0], box, 'solid')
    bars[0].set_axis_off()
    for axis, bar, (name, found) in zip(axes[1:], bars[1:],
                                        similarities.items()):
        gray = cv2.cvtColor(other, cv2.COLOR_BGR2GRAY)
        _show(axis, cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), name)
        height, width = other.shape[:2]
        heat = axis.imshow(
            found.values, extent=(0, width, height, 0), alpha=0.6,
            cmap='inferno', interpolation='bilinear')
        _draw_box(axis, found.box, 'dashed')
        figure.colorbar(heat, cax=bar, orientation='horizontal',
                        ticks=MaxNLocator(4))
        bar.set_xlabel('cosine; dashed: the best box', fontsize=8)
        bar.tick_params(labelsize=7)
    return as_image(figure)


def _show(axis: Axes, image: np.ndarray, title: str) -> None:
    height, width = image.shape[:2]
    axis.imshow(image[..., ::-1], extent=(0, width, height, 0))
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def _draw_box(axis: Axes, box: np.ndarray, style: str) -> None:
    """Draw a box with a dark rim, so that it shows on every ground."""
    left, top, right, bottom = box
    for color, width in (('black', 4), (mpl_color('sky'), 2)):
        axis.add_patch(
            Rectangle((left, top), right - left, bottom - top, fill=False,
                      edgecolor=color, linewidth=width, linestyle=style))
