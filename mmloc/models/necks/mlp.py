# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmloc.models.utils import norm_by_parts
from mmloc.registry import MODELS


@MODELS.register_module()
class MLP(BaseModule):
    """Linear layer, norm, ReLU, linear layer: a projector or predictor.

    mmpretrain's ``NonLinearNeck`` maps tuples of feature maps; this one maps
    regions.

    Args:
        in_channels (int): Channels of the input.
        hid_channels (int): Channels between the layers. SoCo: 4096.
        out_channels (int): Channels of the output. SoCo: 256.
        norm_cfg (dict, optional): The normalisation between the layers, BN
            or SyncBN in SoCo. Defaults to None, for none.
        init_cfg (dict, optional): Initialisation. Defaults to None, which
            leaves PyTorch's, as published.
    """

    def __init__(self,
                 in_channels: int,
                 hid_channels: int,
                 out_channels: int,
                 norm_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.linear1 = nn.Linear(in_channels, hid_channels)
        self.bn1 = (
            build_norm_layer(norm_cfg, hid_channels)[1]
            if norm_cfg else nn.Identity())
        self.relu = nn.ReLU(inplace=True)
        self.linear2 = nn.Linear(hid_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map regions.

        Args:
            x (Tensor): Shape (R, in_channels).

        Returns:
            Tensor: Shape (R, out_channels).
        """
        return self.forward_parts([x])[0]

    def forward_parts(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Map parts, each a batch of its own to BatchNorm.

        All pass the linear layers at once.

        Args:
            parts (Sequence[Tensor]): P tensors of shape (R, in_channels).

        Returns:
            list[Tensor]: P tensors of shape (R, out_channels), equal to
            those of :meth:`forward` for each part in turn but for rounding.
        """
        sizes = [len(part) for part in parts]
        hidden = self.linear1(torch.cat(tuple(parts)))
        hidden = self.relu(norm_by_parts(self.bn1, hidden, sizes))
        return list(self.linear2(hidden).split(sizes))
