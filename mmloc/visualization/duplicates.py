# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Iterable

import cv2
import numpy as np

from .drawing import enlarge, tile

_GAP = 4


def draw_pairs(pairs: Iterable[tuple[np.ndarray, np.ndarray, str]],
               side: int = 220,
               columns: int = 3) -> np.ndarray:
    """Draw pairs of images side by side.

    Args:
        pairs (Iterable[tuple]): Two images, (H, W, 3), uint8, BGR, and a
            title each. They are taken one after the other.
        side (int): Longer side of an image in pixels. Defaults to 220.
        columns (int): Pairs in a row. Defaults to 3.

    Returns:
        np.ndarray: The sheet, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: There are no pairs.
    """
    cells, titles = [], []
    for *images, title in pairs:
        cell = np.full((side, 2 * side + _GAP, 3), 255, np.uint8)
        for i, image in enumerate(images):
            image, _ = enlarge(image, side)
            height, width = image.shape[:2]
            left = i * (side + _GAP)
            cell[:height, left:left + width] = image
        cells.append(cell)
        titles.append(_shorten(title, cell.shape[1]))
    return tile(cells, columns, titles, gap=12)


def _shorten(title: str, width: int) -> str:
    """Cut a line to what fits, in the font of the titles."""
    for end in range(len(title), 0, -1):
        text = title[:end] + ('...' if end < len(title) else '')
        if cv2.getTextSize(
                text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0] <= width:
            return text
    return ''
