# Copyright (c) mmloc contributors. All rights reserved.
"""RoIAlign of several sets of boxes at once."""
from collections.abc import Sequence

import torch
from mmcv.ops import roi_align
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

#: Numbers that the rows of all regions may take, 2 GiB in float32. Trainings
#: stay below it; many boxes on the map of a detector do not.
LARGEST = 2**29


def pad_boxes(boxes: Sequence[Tensor]) -> tuple[Tensor, list[int] | None]:
    """Put the boxes of all images in one tensor.

    Args:
        boxes (Sequence[Tensor]): N tensors of shape (K, 4).

    Returns:
        tuple: Boxes of shape (N, K_max, 4), with zeros for what is missing,
        and the N numbers of boxes, or None if they are equal.
    """
    counts = [len(x) for x in boxes]
    if len(set(counts)) == 1:
        return torch.stack(tuple(boxes)), None
    return pad_sequence(list(boxes), batch_first=True), counts


def drop_padding(regions: Tensor, counts: list[int] | None) -> Tensor:
    """Leave out regions that :func:`pad_boxes` has added.

    Args:
        regions (Tensor): Shape (N * K_max, ...).
        counts (list[int], optional): N numbers of boxes, None if equal.

    Returns:
        Tensor: Shape (R, ...).
    """
    if counts is None:
        return regions
    images = regions.unflatten(0, (len(counts), -1))
    return torch.cat([x[:count] for x, count in zip(images, counts)])


def pool_by_kernel(feat: Tensor, box_sets: Sequence[Tensor],
                   output_size: tuple[int, int], sampling_ratio: int,
                   aligned: bool) -> list[Tensor]:
    """:func:`pool_by_matmul` by mmcv's kernel; regions are in contiguous
    order."""
    boxes = torch.cat([x.flatten(0, 1) for x in box_sets])
    if len(boxes) == 0:
        # The CUDA kernel cannot be launched on nothing. Tied to the map, so
        # that each rank has a gradient for every parameter.
        empty = feat[:0].sum() + feat.new_zeros(0, feat.shape[1],
                                                *output_size)
        return [empty] * len(box_sets)
    images = [
        torch.arange(len(x), device=feat.device).repeat_interleave(x.shape[1])
        for x in box_sets
    ]
    rois = torch.cat([torch.cat(images)[:, None].to(boxes), boxes], dim=1)
    # The kernel reads any map as if it were in contiguous order.
    pooled = roi_align(feat.contiguous(), rois, output_size, 1.,
                       sampling_ratio, 'avg', aligned)
    return list(pooled.split([x.shape[0] * x.shape[1] for x in box_sets]))


def axis_weights(start: Tensor,
                 length: Tensor,
                 bins: int,
                 size: int,
                 sampling_ratio: int = 0) -> Tensor:
    """How much each cell of a map counts in each bin, along one axis.

    A bin is the mean of samples that are interpolated between two cells, as
    in mmcv's and torchvision's RoIAlign: a sample up to one cell outside the
    map takes the value of its edge, one further outside counts as 0.

    Args:
        start (Tensor): Where the regions begin, in cells, 0 being the centre
            of the first. Shape (..., ).
        length (Tensor): Their length in cells, the same shape.
        bins (int): Number of bins S of a region.
        size (int): Number of cells of the map.
        sampling_ratio (int): Samples of a bin. 0 takes as many as it is
            cells long, rounded up. Defaults to 0.

    Returns:
        Tensor: Shape (..., S, size).
    """
    start, width = start[..., None, None, None], length / bins
    width = width[..., None, None, None]
    bin_, cell = torch.meshgrid(
        torch.arange(bins, device=start.device),
        torch.arange(size, device=start.device),
        indexing='ij')
    bin_, cell = bin_[..., None], cell[..., None]
    begin = start + bin_ * width
    if sampling_ratio > 0:
        count = torch.full_like(width, sampling_ratio)
        sample = torch.arange(sampling_ratio, device=start.device)
    else:
        # Samples are at least half a cell apart: six in a row hold all that
        # lie within one cell of a given cell.
        count = width.ceil()
        spacing = (width / count.clamp(min=1)).clamp(min=1e-6)
        sample = ((cell - 1 - begin) / spacing - .5).floor().clamp(min=0)
        sample = sample + torch.arange(6, device=start.device)
    place = begin + (sample + .5) * width / count.clamp(min=1)
    counts = (sample < count) & (place >= -1) & (place <= size)
    share = (1 - (place.clamp(0, size - 1) - cell).abs()).clamp(min=0)
    return (share * counts).sum(dim=-1) / count[..., 0].clamp(min=1)


def pool_by_matmul(feat: Tensor, box_sets: Sequence[Tensor],
                   output_size: tuple[int, int], sampling_ratio: int,
                   aligned: bool) -> list[Tensor]:
    """Pool sets of boxes from one map by RoIAlign.

    The interpolation of a region is a product of one matrix per axis. Dense
    products cost more operations than reading the few cells of a sample, but
    run at the full speed of the device, read maps in channels-last order
    as they are, and add up gradients in a fixed order. In between they hold
    S rows of the map for each region; if there are too many, regions take
    turns.

    Args:
        feat (Tensor): The map, shape (N, C, H, W).
        box_sets (Sequence[Tensor]): Sets of boxes, each (N, K, 4), xyxy in
            pixels of the map.
        output_size (Tuple[int, int]): Bins (S, S) of a region along y and x.
        sampling_ratio (int): See :func:`axis_weights`.
        aligned (bool): Whether the centre of the first cell is at 0.5, not
            at 0. Then boxes have any size, else at least one pixel.

    Returns:
        List[Tensor]: For each set (N * K, C, S, S), channels last.
    """
    boxes = torch.cat(tuple(box_sets), dim=1)
    most = max(LARGEST // (feat[:, :, 0].numel() * output_size[0]), 1)
    if boxes.shape[1] > most:
        return [
            torch.cat([
                pool_by_matmul(feat, [part], output_size, sampling_ratio,
                               aligned)[0].unflatten(0, part.shape[:2])
                for part in x.split(most, dim=1)
            ], dim=1).flatten(0, 1) for x in box_sets
        ]
    start = boxes[..., :2] - (0.5 if aligned else 0)
    length = boxes[..., 2:] - boxes[..., :2]
    if not aligned:
        length = length.clamp(min=1)
    by_x, by_y = (
        axis_weights(start[..., axis], length[..., axis],
                     output_size[1 - axis], feat.shape[3 - axis],
                     sampling_ratio) for axis in (0, 1))
    maps = feat.permute(0, 2, 3, 1)
    # (N, K * S, H) x (N, H, W * C): all regions of an image in one product.
    rows = torch.bmm(by_y.flatten(1, 2), maps.flatten(2))
    rows = rows.unflatten(2, maps.shape[2:]).unflatten(1, by_y.shape[1:3])
    counts = [x.shape[1] for x in box_sets]
    return [
        torch.matmul(weights[:, :, None],
                     part).flatten(0, 1).permute(0, 3, 1, 2)
        for weights, part in zip(
            by_x.split(counts, dim=1), rows.split(counts, dim=1))
    ]
