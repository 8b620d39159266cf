# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from torch import Tensor


def flatten_ids(ids: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Put the regions of all images of a batch in one row.

    Args:
        ids (Sequence[Tensor]): Instance ids of N images, each (K, ).

    Returns:
        Tuple[Tensor, Tensor]: Index of the image and instance id of each
        region, both (R, ).
    """
    counts = {len(x) for x in ids}
    if len(counts) == 1:
        # Two kernels instead of one per image.
        images = torch.arange(len(ids), device=ids[0].device)
        images = images.repeat_interleave(counts.pop())
    else:
        images = torch.cat([torch.full_like(x, i) for i, x in enumerate(ids)])
    return images, torch.cat(tuple(ids))


def match_by_id(image_a: Tensor, id_a: Tensor, image_b: Tensor,
                id_b: Tensor) -> Tensor:
    """Tell which regions of two views show the same instance.

    Two regions match if they stem from the same image of the batch and carry
    the same instance id.

    Args:
        image_a (Tensor): Index of the image of each region of view a, shape
            (R_a, ).
        id_a (Tensor): Instance id of each region of view a, shape (R_a, ).
        image_b (Tensor): As ``image_a``, of view b, shape (R_b, ).
        id_b (Tensor): As ``id_a``, of view b, shape (R_b, ).

    Returns:
        Tensor: Boolean matrix of shape (R_a, R_b).
    """
    return ((image_a[:, None] == image_b[None]) &
            (id_a[:, None] == id_b[None]))


def assign_levels(boxes: Tensor,
                  thresholds: Sequence[float] = (48, 96, 192, 224),
                  inclusive: bool = False) -> Tensor:
    r"""Assign boxes to levels of the feature pyramid by their size.

    SoCo's scale-aware assignment: a box belongs to the first level whose
    threshold is not below :math:`\sqrt{w h}`. Views of different size use
    the same thresholds, so an object that is large in one view and small in
    another moves between levels.

    Args:
        boxes (Tensor): xyxy in pixels of the view, shape (R, 4).
        thresholds (Sequence[float]): Largest size on each of the L levels,
            rising, in pixels. Defaults to (48, 96, 192, 224), P2 to P5.
        inclusive (bool): Whether to measure as the published code does:
            coordinates cut to integers, width and height plus 1.
            Defaults to False.

    Returns:
        Tensor: Index of the level of each box, int64, shape (R, ); -1 for
        boxes above the last threshold.
    """
    if inclusive:
        boxes = boxes.trunc()
    sides = boxes[:, 2:] - boxes[:, :2] + int(inclusive)
    # Compared without the root, which rounds: 48 x 48 must stay on P2. The
    # thresholds stay on the host, for the device is not to be waited for.
    area = sides.prod(dim=1)
    levels = torch.zeros_like(area, dtype=torch.int64)
    for threshold in thresholds:
        levels += area > threshold**2
    return torch.where(levels < len(thresholds), levels, -1)
