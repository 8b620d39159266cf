# Copyright (c) mmloc contributors. All rights reserved.
"""Colour transforms of a whole batch, on any device.

Each image has parameters of its own. They are on the host, so which images
an operation concerns is known there: nothing waits for the device. After
each operation values are cut off to whole numbers as Pillow does, because
the images of the published code have lost their decimals as often; without
that, images would come out lighter by half a level for each operation.
"""
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import kernels
from .parameters import STAGES, squares_of


def augment(images: Tensor, vectors: np.ndarray) -> Tensor:
    """Carry out the changes that the loader has drawn.

    Args:
        images (Tensor): (N, 3, H, W), BGR, whole numbers from 0 to 255.
        vectors (np.ndarray): float32 (N, P), see :func:`.unchanged`.

    Returns:
        Tensor: float32 (N, 3, H, W), whole numbers from 0 to 255.
    """
    x = images.to(torch.float32, copy=True)
    order, factors = np.split(vectors[:, STAGES['jitter']], 2, axis=1)
    if (factors != kernels.NEUTRAL).any():
        x = jitter(x, order.astype(int), factors)
    grey, sigma, threshold = vectors[:, 12:15].T
    # Not expanded: the next stage may write to some of the images.
    x = _change_some(
        x, grey > 0, lambda part: to_grey(part).repeat(1, 3, 1, 1))
    blurred = sigma > 0
    x = _change_some(x, blurred, lambda part: gaussian_blur(
        part, sigma[blurred]))
    if (threshold < 256).any():
        thr = _put(threshold, x)
        x = torch.where(x < thr, x, 255 - x)
    colours, squares = squares_of(vectors)
    if squares.size:
        x = torch.where(_inside(squares, x), _put(colours, x, 2), x)
    return x


def jitter(x: Tensor, order: np.ndarray, factors: np.ndarray) -> Tensor:
    """Change brightness, contrast, saturation and hue.

    Args:
        x (Tensor): float32 (N, 3, H, W), whole numbers, BGR; is changed.
        order (np.ndarray): int (N, 4), the operations of each image in the
            order in which they act.
        factors (np.ndarray): (N, 4), see :func:`.kernels.jitter`.

    Returns:
        Tensor: (N, 3, H, W), whole numbers.
    """
    rows = np.arange(len(order))
    for operation in order.T:
        # All but the hue blend with something: black, grey, mean grey.
        factor = np.where(operation == 3, 1, factors[rows, operation])
        if (factor != 1).any():
            x = _blend(x, operation, factor)
        turned = (operation == 3) & (factors[:, 3] != kernels.NEUTRAL[3])
        x = _change_some(x, turned, lambda part, turned=turned: adjust_hue(
            part, factors[turned, 3]))
    return x


def _blend(x: Tensor, operation: np.ndarray, factor: np.ndarray) -> Tensor:
    """One step of the jitter, of all images at once."""
    grey = to_grey(x)
    # Exact in integers.
    pixels = grey[0].numel()
    total = grey.sum(dim=(1, 2, 3), keepdim=True, dtype=torch.int64)
    mean = torch.div(2 * total + pixels, 2 * pixels, rounding_mode='floor')
    base = grey * _put(operation == 2, x) + mean * _put(operation == 1, x)
    return (x - base).mul_(_put(factor, x)).add_(base).clamp_(0, 255).floor_()


def to_grey(x: Tensor) -> Tensor:
    """Pillow's grey, whose weights are multiples of 2**-16.

    Args:
        x (Tensor): (N, 3, H, W), BGR.

    Returns:
        Tensor: (N, 1, H, W), whole numbers.
    """
    blue, green, red = x.split(1, dim=1)
    total = blue * 7471 + green * 38470 + red * 19595 + 32768
    return total.div_(65536).floor_()


def adjust_hue(x: Tensor, shift: np.ndarray) -> Tensor:
    """Turn the hue; see :func:`.kernels._adjust_hue`.

    Args:
        x (Tensor): (N, 3, H, W), BGR.
        shift (np.ndarray): (N, ), from 0 to 255.

    Returns:
        Tensor: (N, 3, H, W), whole numbers.
    """
    # Tensors: on a GPU, dividing by a number multiplies by its inverse.
    six, full = (torch.full((), value, device=x.device)
                 for value in (6., 255.))
    value, spread = x.amax(1), x.amax(1) - x.amin(1)
    far = (value[:, None] - x) / spread.clamp(min=1)[:, None]
    blue, green, red = far.unbind(1)
    is_red, is_green = x[:, 2] == value, x[:, 1] == value

    def choose(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        return torch.where(is_red, first, torch.where(is_green, second, third))

    plus, minus = choose(blue, red, green), choose(green, blue, red)
    base = choose(*torch.arange(0., 5., 2., device=x.device))
    hue = torch.where(plus >= minus, base + 1 - minus, base - 1 + plus) / six
    hue = torch.where(hue < 0, hue + 1, hue)
    hue = (hue * 255).floor_() * (spread > 0)
    hue = (hue + _put(shift, x)[:, 0]) % 256
    strength = (spread / value.clamp(min=1) * 255).floor_() / full
    return _to_bgr(hue * 6 / full, strength, value)


def _to_bgr(angle: Tensor, strength: Tensor, value: Tensor) -> Tensor:
    """Pillow's way back from hue (0 to 6), saturation (0 to 1) and value."""
    sector = angle.floor()
    rest = angle - sector

    def level(share: Tensor) -> Tensor:
        return (value * (1 - share) + 0.5).floor_()

    low = level(strength)
    falling, rising = level(strength * rest), level(strength * (1 - rest))

    def channel(start: int) -> Tensor:
        """Rises in one sector, stays for two, falls in the next."""
        place = (sector + start) % 6
        out = torch.where(place == 0, rising, low)
        out = torch.where((place == 1) | (place == 2), value, out)
        return torch.where(place == 3, falling, out)

    return torch.stack([channel(4), channel(0), channel(2)], 1)


def gaussian_blur(x: Tensor, sigma: np.ndarray) -> Tensor:
    """Pillow's blur: three box blurs of rows, then of columns.

    Args:
        x (Tensor): (N, 3, H, W).
        sigma (np.ndarray): (N, ), in pixels.

    Returns:
        Tensor: (N, 3, H, W), whole numbers. Pillow's sums are integers, and
        where a mean lies at half a level the result may differ by 1.
    """
    boxes = [kernels.box_weights(value) for value in sigma]
    reach = max(radius for radius, _, _ in boxes) + 1
    weights = np.zeros((reach + 1, len(boxes)))
    for column, (radius, inner, outer) in zip(weights.T, boxes):
        column[:radius + 1] = inner
        column[radius + 1] = outer
    weights = [_put(weight / 2**24, x) for weight in weights]
    for dim in (3, 2):
        for _ in range(kernels.PASSES):
            x = _box_blur(x, weights, dim)
    return x


def _box_blur(x: Tensor, weights: list[Tensor], dim: int) -> Tensor:
    """Weighted sum of each pixel and those at distances 1, 2, ..."""
    reach, size = len(weights) - 1, x.size(dim)
    pad = (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach)
    padded = F.pad(x, pad, mode='replicate')
    out = x * weights[0] + 0.5
    for distance in range(1, reach + 1):
        pair = padded.narrow(dim, reach - distance, size) + padded.narrow(
            dim, reach + distance, size)
        out.add_(pair.mul_(weights[distance]))
    return out.floor_()


def _inside(squares: np.ndarray, x: Tensor) -> Tensor:
    """Whether a pixel lies in a square of its image, (N, 1, H, W)."""
    x1, y1, x2, y2 = _put(squares, x, 0).unsqueeze(-1).unbind(2)
    along, down = (torch.arange(size, device=x.device)
                   for size in (x.size(3), x.size(2)))
    columns = (along >= x1) & (along < x2)
    rows = (down >= y1) & (down < y2)
    inside = rows[..., None] & columns[..., None, :]
    return inside.any(1, keepdim=True)


def _change_some(x: Tensor, which: np.ndarray, function) -> Tensor:
    """Change some images of a batch."""
    if which.all():
        return function(x)
    if which.any():
        index = _put(which.nonzero()[0], x, 0, torch.int64)
        x.index_copy_(0, index, function(x.index_select(0, index)))
    return x


def _put(values: np.ndarray, x: Tensor, dims: int = 3,
         dtype: torch.dtype | None = None) -> Tensor:
    """Put numbers on the device of x, without waiting for it.

    Args:
        values (np.ndarray): (N, ...).
        x (Tensor): Of the device and the type.
        dims (int): How many dimensions of size 1 are added at the end.
        dtype (torch.dtype, optional): Another type.

    Returns:
        Tensor: (N, ..., 1, ...).
    """
    values = torch.from_numpy(np.array(values)).to(dtype or x.dtype)
    values = values.to(x.device, non_blocking=True)
    return values.reshape(*values.shape, *[1] * dims)
