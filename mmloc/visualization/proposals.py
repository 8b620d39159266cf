# Copyright (c) mmloc contributors. All rights reserved.
"""Proposals on their images, in the colours of the pyramid levels."""
import os.path as osp
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from mmloc.datasets import LoadImage, LoadProposals
from mmloc.datasets.archives import find_archive
from mmloc.datasets.image_sources import image_prefix
from mmloc.datasets.image_table import image_path
from mmloc.proposals import ProposalFile

from .drawing import LEVEL_COLORS, draw_boxes, draw_legend, enlarge, tile

#: SoCo's: the largest sqrt(w * h) on P2 to P5 in a view of 224 pixels.
THRESHOLDS = (48, 96, 192, 224)
VIEW = 224


def proposal_levels(boxes: np.ndarray,
                    width: int,
                    height: int,
                    thresholds: Sequence[float] = THRESHOLDS,
                    view: int = VIEW) -> np.ndarray:
    """Tell on which pyramid level a box is, in a view of the whole image.

    The view is SoCo's first: the image resized to a square.

    Args:
        boxes (np.ndarray): (n, 4), xyxy in pixels of the image.
        width (int): Of the image in pixels.
        height (int): Of the image in pixels.
        thresholds (Sequence[float]): Largest ``sqrt(w * h)`` on each level in
            pixels of the view. Defaults to SoCo's, (48, 96, 192, 224).
        view (int): Side of the view in pixels. Defaults to 224.

    Returns:
        np.ndarray: (n, ), int: 0 for the finest level, -1 for boxes above
        the last threshold.

    Raises:
        ValueError: ``view`` is not positive.
    """
    if view < 1:
        raise ValueError(f'The view is {view} pixels wide, expected 1 or '
                         'more.')
    # Models take long to import, and no other picture needs them.
    from mmloc.models.utils import assign_levels
    scale = view / np.array([width, height] * 2)
    return assign_levels(torch.from_numpy(boxes * scale), thresholds).numpy()


def draw_proposals(images: Sequence[np.ndarray],
                   proposals: Sequence[np.ndarray],
                   titles: Sequence[str],
                   thresholds: Sequence[float] = THRESHOLDS,
                   view: int = VIEW,
                   columns: int = 3,
                   side: int = 400) -> np.ndarray:
    """Draw images with their boxes in the colours of the pyramid levels.

    Images of one shape stand side by side, wide ones first. Small boxes are
    drawn over large ones; those too large for any level are dashed.

    Args:
        images (Sequence[np.ndarray]): (H, W, 3), uint8, BGR.
        proposals (Sequence[np.ndarray]): Boxes of each, (n, 4), xyxy in
            pixels.
        titles (Sequence[str]): Name of each; the number of boxes is added.
        thresholds (Sequence[float]): See :func:`proposal_levels`.
        view (int): See :func:`proposal_levels`.
        columns (int): Images in a row. Defaults to 3.
        side (int): Longer side of an image in pixels. Defaults to 400.

    Returns:
        np.ndarray: The sheet with a legend above, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: There are no images, or too many thresholds.
    """
    if not len(images):
        raise ValueError('Got 0 images to draw, expected at least one.')
    levels = level_names(thresholds)
    cells = [
        _draw_image(image, boxes, levels, thresholds, view, side)
        for image, boxes in zip(images, proposals)
    ]
    texts = [
        _fit(title, cell.shape[1], f': {len(boxes)}')
        for title, cell, boxes in zip(titles, cells, proposals)
    ]
    # Those of one shape share a row, whose height is that of its highest.
    order = sorted(range(len(cells)), key=lambda i: cells[i].shape[0])
    rows = [order[i:i + columns] for i in range(0, len(order), columns)]
    strips = [draw_legend(levels, 0, dashed=list(levels)[-1:])] + [
        tile([cells[i] for i in row], columns, [texts[i] for i in row], 10)
        for row in rows
    ]
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([
        cv2.copyMakeBorder(strip, 0, 0, 0, width - strip.shape[1],
                           cv2.BORDER_CONSTANT, value=(255, ) * 3)
        for strip in strips
    ])


def _draw_image(image: np.ndarray, boxes: np.ndarray, levels: dict,
                thresholds: Sequence[float], view: int,
                side: int) -> np.ndarray:
    """Draw the boxes of an image, larger at first for thinner lines."""
    found = proposal_levels(boxes, *image.shape[1::-1], thresholds, view)
    colors = list(levels.values())
    canvas, factor = enlarge(image, round(1.5 * side))
    height, width = canvas.shape[:2]
    # Sides along the rim of an image stay in sight.
    boxes = np.clip(boxes * factor, 2, np.tile([width - 3, height - 3], 2))
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for i in np.argsort(-areas, kind='stable'):
        canvas = draw_boxes(
            canvas, boxes[i], colors[found[i]], dashed=found[i] < 0)
    return enlarge(canvas, side)[0]


def level_names(thresholds: Sequence[float]) -> dict[str, str]:
    """Name the levels and choose their colours.

    Args:
        thresholds (Sequence[float]): See :func:`proposal_levels`.

    Returns:
        dict[str, str]: Text -> name of a colour, the finest level first;
        the last is that of boxes above the last threshold.

    Raises:
        ValueError: There are too many, or they do not rise.
    """
    if not 1 <= len(thresholds) <= len(LEVEL_COLORS):
        raise ValueError(f'There are {len(thresholds)} thresholds, expected 1 '
                         f'to {len(LEVEL_COLORS)}.')
    if list(thresholds) != sorted(set(thresholds)) or thresholds[0] <= 0:
        raise ValueError(f'The thresholds are {list(thresholds)}, expected '
                         'rising positive numbers of pixels.')
    names = {
        f'P{level + 2}: up to {threshold:g}': LEVEL_COLORS[level]
        for level, threshold in enumerate(thresholds)
    }
    return {**names, f'above {thresholds[-1]:g}': 'orange'}


def draw_proposal_file(file: ProposalFile,
                       root: str,
                       num: int = 24,
                       seed: int = 0,
                       thresholds: Sequence[float] = THRESHOLDS,
                       view: int = VIEW) -> np.ndarray:
    """Draw images of a file, chosen at random, with their boxes.

    Args:
        file (ProposalFile): The file.
        root (str): Folder or zip that its names start from.
        num (int): How many images at most. Defaults to 24.
        seed (int): Of the choice. Defaults to 0.
        thresholds (Sequence[float]): See :func:`proposal_levels`.
        view (int): See :func:`proposal_levels`.

    Returns:
        np.ndarray: The sheet of :func:`draw_proposals`.

    Raises:
        FileNotFoundError: There is no such folder or archive.
        UnreadableImageError: An image is missing there.
        ValueError: The file is empty, ``num`` is not positive, or an image
            has another size than its boxes are for.
    """
    if not osp.isdir(root) and find_archive(root) is None:
        raise FileNotFoundError(f'The root {root!r} does not exist, expected '
                                'the folder or archive of the images.')
    if num < 1 or not len(file):
        raise ValueError(f'{num} of the {len(file)} images in {file.path!r} '
                         'are asked for, expected at least one.')
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(file), min(num, len(file)), replace=False)
    names = [file.names[place] for place in sorted(chosen.tolist())]
    load, add = LoadImage(), LoadProposals(file.path, on_empty='keep')
    prefix = image_prefix('', root)
    samples = [
        add(load(dict(img_path=image_path(name, prefix), img_name=name)))
        for name in names
    ]
    return draw_proposals([sample['img'] for sample in samples],
                          [sample['proposals'] for sample in samples], names,
                          thresholds, view)


def _fit(title: str, side: int, end: str) -> str:
    """Shorten a title at its start to what fits above an image."""
    room = side // 9 - len(end)
    return (title if len(title) <= room else f'...{title[3 - room:]}') + end
