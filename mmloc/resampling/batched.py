# Copyright (c) mmloc contributors. All rights reserved.
"""Crops, resizes and flips of a whole batch, on any device.

Each output pixel is a weighted mean of input pixels, first along the rows and
then along the columns, with the triangle filter of Pillow and PyTorch and
values rounded to whole levels in between. PyTorch's kernel for bytes on the
CPU has whole numbers as weights, and so has this: sums are exact whatever
their order, and bytes are equal on every device. The parameters of an image
are on the host, so nothing waits for the device.
"""
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

#: Bytes of the intermediate images that are worked on at once; what the
#: device holds besides images and result is about twelve times as much.
CHUNK = 2**25
#: PyTorch's weights are below 2**15, and have at most so many binary places.
_WEIGHT_BITS, _MOST_PLACES = 15, 22
#: Columns of the table of an image.
_START, _STRIDE, _HEIGHT, _WIDTH, _UPSIDE_DOWN, _MIRRORED = range(6)


def resample(images: Sequence[Tensor],
             plans: Sequence[Sequence | None]) -> Tensor:
    """Cut regions out of images, resize and mirror them.

    Args:
        images (Sequence[Tensor]): N images, uint8 (3, H, W) of any sizes, on
            one device.
        plans (Sequence[Sequence | None]): What to make of each, see
            :func:`.carry_out`; of one new size.

    Returns:
        Tensor: uint8 (N, 3, new height, new width).

    Raises:
        ValueError: The images are not uint8.
    """
    kinds = {image.dtype for image in images}
    if kinds != {torch.uint8}:
        raise ValueError(
            f'Images to be resized are {", ".join(map(str, kinds))}, expected '
            'torch.uint8; leave them as the pipeline packs them, or set '
            'max_deferred=0 in MultiView.')
    plans = [
        plan or (0, 0, *image.shape[1:], *image.shape[1:], None)
        for image, plan in zip(images, plans)
    ]
    size = plans[0][4:6]
    out = torch.empty((len(images), *size, 3), dtype=torch.uint8,
                      device=images[0].device)
    for chosen in _chunks(plans):
        part = _resample([images[i] for i in chosen],
                         [plans[i] for i in chosen])
        out.index_copy_(0, _put(np.array(chosen), out), part)
    return out.permute(0, 3, 1, 2)


def _chunks(plans: Sequence[Sequence]) -> Iterator[list[int]]:
    """Indices of images of similar heights that fit into a chunk."""
    chunk: list[int] = []
    # The first is the highest, to which all others are filled up.
    for i in sorted(range(len(plans)), key=lambda i: -plans[i][2]):
        top = plans[chunk[0] if chunk else i]
        if chunk and (len(chunk) + 1) * top[2] * top[5] * 3 > CHUNK:
            yield chunk
            chunk = []
        chunk.append(i)
    yield chunk


def _resample(images: list[Tensor], plans: list[Sequence]) -> Tensor:
    """Do so with a chunk; (N, new height, new width, 3)."""
    pixels = torch.cat([img.permute(1, 2, 0).reshape(-1, 3) for img in images])
    table, start = [], 0
    for img, (top, left, height, width, *_, flip) in zip(images, plans):
        stride = img.shape[2]
        table.append((start + top * stride + left, stride, height, width,
                      flip in ('vertical', 'diagonal'),
                      flip in ('horizontal', 'diagonal')))
        start += img.shape[1] * stride
    num, (new_height, new_width) = len(table), plans[0][4:6]
    rows, most = max(x[_HEIGHT] for x in table), max(x[_WIDTH] for x in table)
    numbers = _put(np.array(table), pixels).unsqueeze(-1).unbind(1)
    columns = _Taps(numbers[_WIDTH], new_width, numbers[_MIRRORED], most)
    # Below the region of a lower image its last row is repeated.
    row = torch.arange(rows, device=pixels.device)
    row = torch.minimum(row, numbers[_HEIGHT] - 1)
    row = numbers[_START] + row * numbers[_STRIDE]
    narrow = columns.sum(
        lambda column: pixels.index_select(
            0, (row[:, :, None] + column[:, None]).flatten()).view(
                num, rows, new_width, 3),
        lambda weight: weight[:, None, :, None])
    lines = _Taps(numbers[_HEIGHT], new_height, numbers[_UPSIDE_DOWN], rows)
    first = torch.arange(num, device=pixels.device)[:, None] * rows
    flat = narrow.view(num * rows, -1)
    return lines.sum(
        lambda line: flat.index_select(0, (first + line).flatten()).view(
            num, new_height, new_width, 3),
        lambda weight: weight[..., None, None])


class _Taps:
    """The pixels along one side of which each new one is a mean.

    Args:
        length (Tensor): int64 (N, 1), of the side in each image.
        size (int): New length.
        backwards (Tensor): int64 (N, 1), 1 where the result is mirrored.
        most (int): The largest of ``length``.
    """

    def __init__(self, length: Tensor, size: int, backwards: Tensor,
                 most: int) -> None:
        place = torch.arange(size, device=length.device)
        place = torch.where(backwards > 0, size - 1 - place, place)
        scale = length.double() / size
        reach = scale.clamp(min=1)
        centre = scale * (place + 0.5)
        low = (centre - reach + 0.5).long().clamp(min=0)
        end = torch.minimum((centre + reach + 0.5).long(), length)
        # Side by side in memory for all images: one tap after the other.
        taps = 2 * -(-max(most, size) // size) + 1
        index = low + torch.arange(
            taps, device=length.device)[:, None, None]
        weight = 1 - ((index - centre + 0.5) * (1 / reach)).abs()
        weight = weight.clamp(min=0) * (index < end)
        weight = weight / weight.sum(0)
        # As many binary places as the largest weight of an image allows.
        largest = weight.amax(dim=(0, 2))
        powers = torch.arange(1, _MOST_PLACES + 1, device=length.device)
        powers = torch.exp2(powers.double())[:, None]
        self.places = (largest * powers + 0.5 < 2**_WEIGHT_BITS).sum(
            0, dtype=torch.int32).view(-1, 1, 1, 1)
        weight = weight * torch.exp2(self.places.double()).view(-1, 1)
        self.weight = (weight + 0.5).int()
        self.index = torch.minimum(index, length - 1)

    def sum(self, pixels_at, spread) -> Tensor:
        """Weighted means.

        Args:
            pixels_at (Callable): Gives the pixels (N, H, W, 3) of an index
                (N, size).
            spread (Callable): Shapes a weight (N, size) like these.

        Returns:
            Tensor: uint8 (N, H, W, 3).
        """
        total = None
        for index, weight in zip(self.index, self.weight):
            part = pixels_at(index) * spread(weight)
            total = part if total is None else total.add_(part)
        half = torch.bitwise_left_shift(1, self.places - 1)
        total = total.add_(half).bitwise_right_shift_(self.places)
        return total.clamp_(0, 255).to(torch.uint8)


def _put(values: np.ndarray, x: Tensor) -> Tensor:
    """Put whole numbers on the device of x, without waiting for it."""
    return torch.from_numpy(values).to(x.device, non_blocking=True)
