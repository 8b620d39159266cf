# Copyright (c) mmloc contributors. All rights reserved.
from mmcv.cnn import build_norm_layer
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from torch import Tensor

from mmloc.registry import MODELS


@MODELS.register_module()
class ExtraNormBBoxHead(ConvFCBBoxHead):
    """A box head with a normalization after its shared fully connected layer.

    The published InsLoc detectors put a new norm after the pretrained layer
    and its ReLU, so that the predictors, which are new as well, see inputs of
    a known scale. Paths of the pretrained layers are those of
    :obj:`mmdet.ConvFCBBoxHead`: ``shared_convs.*``, ``shared_fcs.0``.

    Source: InsLoc's transfer code, ``FastRCNNConvFCHeadExtraNorm``.

    Args:
        norm_cfg (dict, optional): Norm of the shared convolutions and of the
            extra layer. Defaults to ``dict(type='SyncBN')``.
        **kwargs: Arguments of :obj:`mmdet.ConvFCBBoxHead`.

    Raises:
        ValueError: If there is not exactly one shared fully connected layer,
            or there are separate branches.
    """

    def __init__(self, *args, norm_cfg: dict | None = None, **kwargs) -> None:
        norm_cfg = norm_cfg or dict(type='SyncBN')
        super().__init__(*args, norm_cfg=norm_cfg, **kwargs)
        branches = (self.num_cls_convs, self.num_cls_fcs, self.num_reg_convs,
                    self.num_reg_fcs)
        if self.num_shared_fcs != 1 or any(branches):
            raise ValueError(
                'ExtraNormBBoxHead has one shared fully connected layer and '
                'no separate branches, got num_shared_fcs='
                f'{self.num_shared_fcs} and branches {branches}; use '
                'ConvFCBBoxHead for other shapes')
        self.extra_norm = build_norm_layer(norm_cfg, self.fc_out_channels)[1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predict from the features of regions.

        Args:
            x (Tensor): (R, C, H, W).

        Returns:
            tuple[Tensor, Tensor]: Class scores (R, num_classes + 1) and box
            deltas (R, 4 x num_classes).
        """
        for conv in self.shared_convs:
            x = conv(x)
        x = self.relu(self.shared_fcs[0](x.flatten(1)))
        # As (R, C, 1, 1), which every norm takes.
        x = self.extra_norm(x[..., None, None]).flatten(1)
        return self.fc_cls(x), self.fc_reg(x)
