# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def norm_by_parts(norm: nn.Module, x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Normalise parts of a batch one after the other.

    Layers that treat each row by itself take all parts at once; BatchNorm
    has the statistics of each part, and moves its running ones part by part.

    Args:
        norm (nn.Module): Maps a tensor to one of the same shape.
        x (Tensor): P parts one after the other, shape (R, ...).
        sizes (Sequence[int]): Rows of each part, R in sum.

    Returns:
        Tensor: Shape (R, ...).
    """
    if isinstance(norm, nn.Identity) or len(sizes) == 1:
        return norm(x)
    return torch.cat([norm(part) for part in x.split(list(sizes))])
