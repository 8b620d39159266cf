# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from .drawing import (
    LEVEL_COLORS,
    PALETTE,
    as_array,
    draw_boxes,
    draw_legend,
    enlarge,
    tile,
    view_pixels,
)

#: White pixels between the two views of a pair.
_GAP = 36
_NO_LEVEL = 'too large for any level'
_NO_LEVEL_COLOR = 'orange'


def draw_views(samples: Sequence[dict],
               thresholds: Sequence[float] | None = (48, 96, 192, 224),
               inclusive: bool = False,
               side: int = 224) -> np.ndarray:
    """Draw the views of SoCo samples, their boxes and what matches.

    A row for each sample, and in it each pair of views side by side, all in
    their relative sizes. The colour of a box is the level whose features the
    loss takes, a line joins two boxes that match in the loss; a dashed box is
    above the last threshold and matches nothing.

    Args:
        samples (Sequence[dict]): What the dataset returns, before the data
            preprocessor: ``inputs`` {view: uint8 Tensor (3, H, W), BGR} and
            ``data_samples`` {view: DetDataSample} whose ``gt_instances``
            hold ``bboxes`` (K, 4), xyxy in pixels of the view, ``labels``
            (K, ), the ids of the proposals, and ``pairs`` (K, ), the index
            of the pair of views that a box serves.
        thresholds (Sequence[float], optional): Those of
            :class:`~mmloc.models.SoCoHead`, for at most 4 levels; None for a
            single level. Defaults to (48, 96, 192, 224).
        inclusive (bool): See there. Defaults to False.
        side (int): Longer side of a sample's largest view in pixels.
            Defaults to 224.

    Returns:
        np.ndarray: The sheet with a legend below, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: There are no samples, or too many thresholds, or the
            samples have no pairs of views.
        TypeError: The images are not uint8, so they are normalised already.
    """
    if thresholds is not None and len(thresholds) > len(LEVEL_COLORS):
        raise ValueError(f'There are {len(thresholds)} thresholds, expected '
                         f'at most {len(LEVEL_COLORS)}.')
    panels, titles, levels, columns = [], [], set(), 1
    for i, sample in enumerate(samples):
        pairs = _pairs(sample)
        columns = len(pairs)
        factor = side / max(
            max(view_pixels(sample, view).shape) for view in sample['inputs'])
        for index, names in pairs:
            ends = [
                _draw_view(sample, name, index, factor, thresholds, inclusive)
                for name in names
            ]
            levels.update(*(np.unique(end[2]).tolist() for end in ends))
            panels.append(_join(*ends))
            titles.append(f'{i + 1}: {names[0]} and {names[1]}')
    sheet = tile(panels, columns, titles, gap=14)
    if thresholds is None:
        return sheet
    entries = {
        f'P{level + 2}': color
        for level, color in enumerate(LEVEL_COLORS[:len(thresholds)])
    }
    if -1 in levels:
        entries[_NO_LEVEL] = _NO_LEVEL_COLOR
    legend = draw_legend(entries, sheet.shape[1], dashed=[_NO_LEVEL])
    sheet = cv2.copyMakeBorder(
        sheet, 0, 0, 0, legend.shape[1] - sheet.shape[1], cv2.BORDER_CONSTANT,
        value=(255, ) * 3)
    return np.concatenate([sheet, legend])


def _pairs(sample: dict) -> list:
    """The pairs of views that boxes serve: (index, two names)."""
    pairs: dict = {}
    for name, data_sample in sample['data_samples'].items():
        instances = data_sample.gt_instances
        if 'pairs' not in instances:
            raise ValueError(
                f'The boxes of {name} have no pairs, expected samples of '
                'mmloc.MultiView with mmloc.SelectMatches; draw_composites '
                'draws those of InsLoc.')
        for index in np.unique(as_array(instances.pairs)).tolist():
            pairs.setdefault(index, []).append(name)
    return sorted(pairs.items())


def _draw_view(sample: dict, name: str, pair: int, factor: float,
               thresholds: Sequence[float] | None, inclusive: bool) -> tuple:
    """Draw the boxes of a view for a pair; return the picture, the boxes in
    its pixels, their levels and ids."""
    # Models take long to import, and no other picture needs them.
    from mmloc.models.utils import assign_levels
    image = view_pixels(sample, name)
    instances = sample['data_samples'][name].gt_instances
    chosen = as_array(instances.pairs) == pair
    boxes = as_array(instances.bboxes)[chosen]
    levels = np.zeros(len(boxes), int)
    if thresholds is not None:
        levels = assign_levels(
            torch.as_tensor(boxes), thresholds, inclusive).numpy()
    image, factor = enlarge(image, round(max(image.shape[:2]) * factor))
    height, width = image.shape[:2]
    # Sides along the rim of a view stay in sight.
    boxes = np.clip(boxes * factor, 1, np.tile([width - 2, height - 2], 2))
    image = draw_boxes(image, boxes[levels < 0], _NO_LEVEL_COLOR, dashed=True)
    for level in range(len(LEVEL_COLORS) - 1, -1, -1):
        image = draw_boxes(
            image, boxes[levels == level], LEVEL_COLORS[level])
    return image, boxes, levels, as_array(instances.labels)[chosen]


def _join(first: tuple, second: tuple) -> np.ndarray:
    """Set two views side by side and draw lines between what matches."""
    images = first[0], second[0]
    shift = images[0].shape[1] + _GAP
    height = max(image.shape[0] for image in images)
    panel = np.full((height, shift + images[1].shape[1], 3), 255, np.uint8)
    tops = [(height - image.shape[0]) // 2 for image in images]
    for image, left, top in zip(images, (0, shift), tops):
        panel[top:top + image.shape[0], left:left + image.shape[1]] = image
    lines = _lines(first, second, shift, tops)
    for dark in (True, False):
        white = PALETTE['black'] if dark else (255, 255, 255)
        for ends, inks in lines:
            cv2.line(panel, *ends, white, 3 if dark else 1, cv2.LINE_AA)
            for end, ink in zip(ends, inks):
                cv2.circle(panel, end, 5 if dark else 4,
                           PALETTE['black'] if dark else ink, cv2.FILLED,
                           cv2.LINE_AA)
    return panel


def _lines(first: tuple, second: tuple, shift: int, tops: list) -> list:
    """Find the lines of a panel: two points, and the colours of their ends.

    They go from the right side of a box to the left side of the other, at
    another height for each id, for boxes within boxes are common.
    """
    ids = np.intersect1d(first[3], second[3]).tolist()
    lines = {}
    for box_a, level_a, id_a in zip(*first[1:]):
        for box_b, level_b, id_b in zip(*second[1:]):
            if id_a != id_b or min(level_a, level_b) < 0:
                continue
            share = 0.25 + 0.5 * (ids.index(id_a) + 0.5) / len(ids)
            ends = tuple((int(x), int(top + y1 + share * (y2 - y1)))
                         for x, y1, y2, top in (
                             (box_a[2], box_a[1], box_a[3], tops[0]),
                             (box_b[0] + shift, box_b[1], box_b[3], tops[1])))
            # Repeated boxes have the same line.
            lines[ends] = [
                PALETTE[LEVEL_COLORS[level]] for level in (level_a, level_b)
            ]
    return sorted(lines.items())
