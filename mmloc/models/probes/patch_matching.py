# Copyright (c) mmloc contributors. All rights reserved.
"""Looking for a patch on a feature map, by pure functions."""
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def window_similarity(cells: Tensor, template: Tensor) -> Tensor:
    """Compare a template, or its mirror image, with every window of a map.

    The similarity is the cosine of the angle between template and window,
    both as vectors of C x S x S numbers.

    Args:
        cells (Tensor): The map, (C, H, W).
        template (Tensor): (C, S, S).

    Returns:
        Tensor: (H - S + 1, W - S + 1), from -1 to 1: for each window the
        higher one of template and mirrored template.
    """
    kernels = torch.stack([template, template.flip(-1)])
    products = F.conv2d(cells[None], kernels)[0].amax(dim=0)
    energy = cells.square().sum(dim=0, keepdim=True)
    ones = energy.new_ones(1, 1, *template.shape[1:])
    energy = F.conv2d(energy[None], ones)[0, 0]
    return products / (energy.sqrt() * template.norm()).clamp(min=1e-6)


def best_window(feature_map: Tensor, stride: int, template: Tensor,
                size: Sequence[float],
                img_shape: Sequence[int]) -> tuple[float, list[float]]:
    """Find the box of a given size that looks most like a template.

    The map is resampled so that a box of that size has S x S cells. Boxes
    at every cell are compared, a step of 1 / S of the box.

    Args:
        feature_map (Tensor): (C, h, w).
        stride (int): Pixels of a step of the map.
        template (Tensor): (C, S, S).
        size (Sequence[float]): Width and height of the box in pixels.
        img_shape (Sequence[int]): Height and width of the image in pixels.

    Returns:
        tuple[float, list[float]]: The similarity and the box, xyxy in
        pixels; -inf if no box of that size fits into the image.
    """
    side = template.shape[-1]
    # Height, then width, as in tensors.
    extent = [n * stride for n in feature_map.shape[-2:]]
    grid = [round(n * side / s) for n, s in zip(extent, size[::-1])]
    step = [n / g for n, g in zip(extent, grid)] if all(grid) else [0, 0]
    # Maps are larger than images whose sides the stride does not divide.
    inside = [int(n / s + 0.5) if s else 0 for n, s in zip(img_shape, step)]
    if min(inside) < side:
        return -torch.inf, [0.0, 0.0, *size]
    cells = F.interpolate(
        feature_map[None], grid, mode='bilinear', antialias=True)[0]
    scores = window_similarity(cells[:, :inside[0], :inside[1]], template)
    row, column = divmod(scores.argmax().item(), scores.shape[1])
    center = [(i + side / 2) * s for i, s in zip((column, row), step[::-1])]
    box = [c + sign * s / 2 for sign in (-1, 1) for c, s in zip(center, size)]
    return scores.max().item(), box
