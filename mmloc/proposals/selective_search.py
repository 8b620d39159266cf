# Copyright (c) mmloc contributors. All rights reserved.
"""Selective search: boxes of everything that might be an object."""
import numpy as np
from PIL import Image

from .numbers import plain_number

#: Raise it when :func:`selective_search` gives other boxes. It is among the
#: parameters of files, of begun jobs and of caches, which then differ.
ALGORITHM = 1


def selective_search(img: np.ndarray,
                     scale: float = 300.,
                     sigma: float = 0.9,
                     min_size: int = 100,
                     max_side: int | None = None) -> np.ndarray:
    """Propose boxes by grouping similar neighbouring regions.

    The boxes and their order are those of the implementation that SoCo's
    proposals were made with: `Felzenszwalb's segmentation
    <https://doi.org/10.1023/B:VISI.0000022288.19776.77>`_, then `hierarchical
    grouping <https://doi.org/10.1007/s11263-013-0620-5>`_ by colour (V of
    HSV), texture (local binary patterns), size and fill. Nothing is left out:
    boxes may be tiny and occur more than once; see
    :func:`~mmloc.proposals.filter_proposals`.

    Args:
        img (np.ndarray): Image, (H, W, 3), uint8, RGB.
        scale (float): The larger, the larger the first regions. Defaults to
            300.
        sigma (float): Standard deviation in pixels of the smoothing before
            the segmentation. Defaults to 0.9.
        min_size (int): Smallest first region in pixels. Defaults to 100.
        max_side (int, optional): Longer side in pixels to which larger
            images are reduced before anything else, by averaging over areas.
            **This changes the boxes**, not only by rounding: a reduced image
            has other regions. Defaults to None, full resolution.

    Returns:
        np.ndarray: Boxes (n, 4), float32, ``x1, y1, x2, y2`` in pixels of
        ``img``: first those of the segmentation in the order in which a scan
        row by row meets them, then those of the merged regions in the order
        of merging. ``x2`` and ``y2`` are the last column and row of the
        region, so that ``x2 - x1`` is the published width, one less than the
        number of columns, and 0 for a region one pixel wide. There is always
        at least one box.

    Raises:
        TypeError: ``img`` is no uint8 array.
        ValueError: ``img`` has another shape or no pixel, or a parameter is
            out of range.
    """
    _check_image(img)
    params = check_parameters(scale, sigma, min_size, max_side)
    height, width = img.shape[:2]
    img = _bounded(img, params.pop('max_side'))
    # Only who computes boxes waits for the compiler to be imported.
    from .felzenszwalb import felzenszwalb
    from .grouping import group_regions
    from .regions import describe_regions
    labels = felzenszwalb(img, **params)
    boxes, _ = group_regions(*describe_regions(img, labels), labels.size)
    boxes = boxes.astype(np.float32)
    if img.shape[:2] != (height, width):
        boxes *= np.float32(
            [width / img.shape[1], height / img.shape[0]] * 2)
    return boxes


def check_parameters(scale: float, sigma: float, min_size: int,
                     max_side: int | None) -> dict:
    """Check parameters of :func:`selective_search` before there is an image.

    Returns:
        dict: The four by their names, as floats and ints of Python.

    Raises:
        ValueError: One is out of range, not finite, no number or, in pixels,
            not whole.
    """
    return dict(
        scale=plain_number('scale', scale, 'a positive number',
                           np.nextafter(0, 1)),
        sigma=plain_number('sigma', sigma, 'a number, 0 or more'),
        min_size=plain_number('min_size', min_size, 'a whole number of '
                              'pixels, 0 or more', whole=True),
        max_side=None if max_side is None else plain_number(
            'max_side', max_side, 'a positive whole number of pixels or '
            'None', 1, whole=True))


def _check_image(img: np.ndarray) -> None:
    if not isinstance(img, np.ndarray) or img.dtype != np.uint8:
        found = getattr(img, 'dtype', type(img).__name__)
        raise TypeError(f'The image is of type {found}, expected an array of '
                        'uint8; convert it to 8 bits per channel.')
    if img.ndim != 3 or img.shape[2] != 3 or not img.size:
        raise ValueError(f'The image has shape {img.shape}, expected '
                         '(height, width, 3) with at least one pixel; '
                         'convert it to RGB.')


def _bounded(img: np.ndarray, max_side: int | None) -> np.ndarray:
    """Reduce an image so that its longer side is at most ``max_side``."""
    longer = max(img.shape[:2])
    if max_side is None or longer <= max_side:
        return img
    height, width = (max(round(side * max_side / longer), 1)
                     for side in img.shape[:2])
    return np.asarray(
        Image.fromarray(img).resize((width, height), Image.Resampling.BOX))
