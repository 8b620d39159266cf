# Copyright (c) mmloc contributors. All rights reserved.
"""What the proposals of a whole set are like."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmloc.proposals.file_layout import Proposals

from .plots import as_image, mpl_color, style_axes
from .proposals import THRESHOLDS, VIEW, level_names


@dataclass
class ProposalStatistics:
    """What the boxes of a set are like.

    Args:
        counts (np.ndarray): (images, ), int: boxes of each.
        sizes (np.ndarray): (boxes, ): ``sqrt(w * h)`` relative to
            ``sqrt(W * H)`` of the image.
        ratios (np.ndarray): (boxes, ): w / h.
    """
    counts: np.ndarray
    sizes: np.ndarray
    ratios: np.ndarray

    @classmethod
    def measure(cls,
                records: Sequence[Proposals],
                limit: int = 100_000,
                track: Callable | None = None) -> 'ProposalStatistics':
        """Measure boxes.

        Args:
            records (Sequence[Proposals]): Such as a
                :class:`~mmloc.proposals.ProposalFile`.
            limit (int): Images, spread evenly, to look at when there are
                more. Defaults to 100000.
            track (Callable, optional): Shows progress, see
                :func:`mmloc.utils.progress.track`.

        Returns:
            ProposalStatistics: The statistics, which take 8 bytes a box.

        Raises:
            ValueError: ``limit`` is not positive.
        """
        if limit < 1:
            raise ValueError(f'The limit is {limit} images, expected 1 or '
                             'more.')
        num = min(limit, len(records))
        places = np.linspace(0, len(records) - 1, num).astype(int).tolist()
        chosen = (records[place] for place in places)
        if track is not None:
            chosen = track(chosen, num, 'images measured')
        counts, sizes, ratios = [], [np.zeros(0, 'f4')], [np.zeros(0, 'f4')]
        for _, width, height, boxes in chosen:
            sides = boxes[:, 2:] - boxes[:, :2]
            counts.append(len(boxes))
            sizes.append(np.sqrt(sides.prod(axis=1) / (width * height)))
            # A box without a width or height is far off on either side.
            sides = np.maximum(sides, 1e-3)
            ratios.append(sides[:, 0] / sides[:, 1])
        return cls(np.array(counts, int), np.concatenate(sizes),
                   np.concatenate(ratios))

    def level_shares(self, thresholds: Sequence[float] = THRESHOLDS,
                     view: int = VIEW) -> np.ndarray:
        """Count the boxes of each level.

        Args:
            thresholds (Sequence[float]): See :func:`proposal_levels`.
            view (int): See :func:`proposal_levels`.

        Returns:
            np.ndarray: (levels + 1, ), shares that add up to 1, the last of
            boxes above the last threshold; zeros without any box.
        """
        # The area of a view is what is relative to that of the image.
        levels = np.searchsorted(thresholds, self.sizes * view)
        counts = np.bincount(levels, minlength=len(thresholds) + 1)
        return counts / max(len(self.sizes), 1)

    def draw(self, thresholds: Sequence[float] = THRESHOLDS,
             view: int = VIEW) -> np.ndarray:
        """Draw the statistics.

        Args:
            thresholds (Sequence[float]): See :func:`proposal_levels`.
            view (int): See :func:`proposal_levels`.

        Returns:
            np.ndarray: Four plots, (H, W, 3), uint8, BGR.
        """
        levels = level_names(thresholds)
        colors = [mpl_color(color) for color in levels.values()]
        figure = Figure((10.4, 6.2), dpi=120, layout='constrained')
        axes = figure.subplots(2, 2).ravel()
        _draw_counts(axes[0], self.counts)
        _draw_sizes(axes[1], self.sizes, np.array(thresholds) / view, colors)
        _draw_ratios(axes[2], self.ratios)
        _draw_shares(axes[3], self.level_shares(thresholds, view),
                     list(levels), colors, view)
        return as_image(figure)


def _draw_counts(axes, counts: np.ndarray) -> None:
    bins = np.arange(-0.5, max(counts.max(initial=0), 1) + 1)
    step = -(-len(bins) // 60)  # at most 60 bars
    axes.hist(counts, np.arange(bins[0], bins[-1] + step, step),
              color=mpl_color('blue'))
    median = np.median(counts) if len(counts) else 0
    mean = counts.sum() / max(len(counts), 1)
    style_axes(axes, f'Boxes in an image: {mean:.1f} on average, median '
               f'{median:g}', 'boxes', 'images')


def _draw_sizes(axes, sizes: np.ndarray, ends: np.ndarray,
                colors: list) -> None:
    bins = np.linspace(0, 1, 51)
    _, _, bars = axes.hist(np.clip(sizes, 0, 1), bins)
    for left, bar in zip(bins, bars):
        bar.set_color(colors[np.searchsorted(ends, left + bins[1] / 2)])
    axes.set_xlim(0, 1)
    style_axes(axes, 'Size, in the colours of the levels',
               'sqrt(w h) / sqrt(W H)', 'boxes')


def _draw_ratios(axes, ratios: np.ndarray) -> None:
    axes.hist(np.clip(np.log2(ratios), -4, 4), np.linspace(-4, 4, 65),
              color=mpl_color('blue'))
    ticks = range(-4, 5)
    axes.set_xticks(ticks, [
        f'1:{2 ** -tick}' if tick < 0 else f'{2 ** tick}:1' for tick in ticks
    ])
    style_axes(axes, 'Aspect ratio (beyond 1:16 at the rim)', 'w : h', 'boxes')


def _draw_shares(axes, shares: np.ndarray, names: list, colors: list,
                 view: int) -> None:
    num = len(shares) - (shares[-1] == 0)
    bars = axes.bar(names[:num], 100 * shares[:num], color=colors[:num])
    axes.bar_label(bars, fmt='%.1f %%', fontsize=8)
    axes.margins(y=0.15)
    style_axes(axes, f'Levels, in a view of {view} x {view} pixels',
               'sqrt(w h) in pixels of the view', 'boxes (%)')
