# Copyright (c) mmloc contributors. All rights reserved.
import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from torch import Tensor, nn

from mmloc.registry import MODELS


def gather_regions(features: Tensor) -> Tensor:
    """Concatenate the regions of all ranks, in the order of the ranks.

    Ranks may hold different numbers of regions, also none. Without a
    process group the input is returned.

    Args:
        features (Tensor): Features of this rank, shape (R, ...).

    Returns:
        Tensor: Features of all ranks, shape (sum of all R, ...).
    """
    if get_world_size() == 1:
        return features
    size = torch.tensor([len(features)], device=features.device)
    sizes = torch.cat(all_gather(size)).tolist()
    padded = features.new_zeros(max(sizes), *features.shape[1:])
    padded[:len(features)] = features
    return torch.cat([
        gathered[:size] for gathered, size in zip(all_gather(padded), sizes)
    ])


@MODELS.register_module()
class FeatureQueue(nn.Module):
    """First-in-first-out memory of L2-normalised features, one per level.

    All levels share one pointer. Neither the batch size nor the number of
    regions has to divide the length: writing wraps around the end.

    Args:
        num_levels (int): Number of levels L.
        channels (int): Number of channels C of a feature.
        length (int): Number of features Q kept per level.

    Attributes:
        features (Tensor): Buffer of shape (L, C, Q), unit vectors along C.
        pointer (Tensor): Buffer of shape (1, ), the column written next.

    Raises:
        ValueError: If an argument is not positive.
    """

    def __init__(self, num_levels: int, channels: int, length: int) -> None:
        super().__init__()
        if min(num_levels, channels, length) < 1:
            raise ValueError(
                'A feature queue needs positive sizes, but got num_levels='
                f'{num_levels}, channels={channels}, length={length}.')
        self.register_buffer(
            'features',
            F.normalize(torch.randn(num_levels, channels, length), dim=1))
        self.register_buffer('pointer', torch.zeros(1, dtype=torch.long))

    @property
    def length(self) -> int:
        """Number of features Q kept per level."""
        return self.features.size(2)

    @torch.no_grad()
    def enqueue(self, features: Tensor) -> None:
        """Overwrite the oldest features by those of all ranks.

        If there are more new features than the queue is long, the last of
        them are kept. In place of a feature that is not finite, as after an
        overflow of half precision, the old one of its level stays: it would
        make every loss NaN until it is overwritten.

        Args:
            features (Tensor): Normalised features of this rank, shape
                (R, L, C).
        """
        features = gather_regions(features)
        count = len(features)
        kept = features[max(count - self.length, 0):]
        end = self.pointer + count
        columns = (end - len(kept) + torch.arange(
            len(kept), device=features.device)) % self.length
        new = kept.permute(1, 2, 0).to(self.features.dtype)
        finite = new.isfinite().all(dim=1, keepdim=True)
        self.features[:, :, columns] = torch.where(
            finite, new, self.features[:, :, columns])
        self.pointer.copy_(end % self.length)
