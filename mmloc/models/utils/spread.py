# Copyright (c) mmloc contributors. All rights reserved.
"""How far embeddings are spread out: measures of collapse."""
import torch
from torch import Tensor


def relative_std(features: Tensor) -> Tensor:
    r"""Standard deviation of unit vectors, relative to evenly spread ones.

    .. math::

        \sqrt{C} \cdot \frac{1}{C} \sum_c \mathrm{std}_r(x_{rc})

    Each coordinate of points that are even on the unit sphere has a standard
    deviation of :math:`1 / \sqrt{C}`, which gives 1, the largest value; 0
    means that all vectors are the same. Source: SimSiam (CVPR 2021), Sec.
    4.1.

    Args:
        features (Tensor): Unit vectors, shape (..., R, C).

    Returns:
        Tensor: Shape (...), in [0, 1].
    """
    std = features.std(dim=-2, correction=0)
    return std.mean(dim=-1) * features.size(-1)**0.5


def effective_rank(features: Tensor) -> Tensor:
    r"""Number of dimensions that vectors fill, as a real number.

    .. math::

        \exp\left(-\sum_k p_k \log p_k\right), \quad
            p_k = \sigma_k / \sum_i \sigma_i

    with the singular values :math:`\sigma` of the matrix of all vectors, not
    centred: vectors that are all the same have 1, also if they are zero.
    Source: Roy and Vetterli, "The effective rank" (EUSIPCO 2007), Sec. 3; as
    a measure of collapse RankMe (ICML 2023).

    Args:
        features (Tensor): Shape (..., R, C), float32 or float64.

    Returns:
        Tensor: Shape (...), in [1, min(R, C)]; NaN where a value of
        ``features`` is not finite.
    """
    finite = features.isfinite().all(dim=-1).all(dim=-1)
    # The decomposition raises an error on what is not finite.
    values = torch.linalg.svdvals(features.nan_to_num(0, 0, 0))
    share = values / values.sum(-1, keepdim=True).clamp(
        min=torch.finfo(values.dtype).tiny)
    rank = torch.special.entr(share).sum(-1).exp()
    return rank.where(finite, torch.nan)
