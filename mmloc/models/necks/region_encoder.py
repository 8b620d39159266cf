# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmloc.registry import MODELS


@MODELS.register_module()
class AllLevelRoIExtractor(BaseRoIExtractor):
    """Pool every region from every level of the feature pyramid.

    A detector assigns each box to one level by its size. InsLoc (Sec. 3.2)
    and SoCo contrast the features of a region on all levels instead.

    The arguments are those of mmdet's ``BaseRoIExtractor``.
    """

    def forward(self, feats: tuple[Tensor],
                rois: Sequence[Tensor]) -> list[Tensor]:
        """Pool the regions.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            rois (Sequence[Tensor]): Regions to pool from each of the L
                levels, each (R, 5): index of the image, x1, y1, x2, y2 in
                pixels of the input image.

        Returns:
            List[Tensor]: L tensors of shape (R, C, S, S). Under autocast
            the pooling runs in float32, since box coordinates in half
            precision would shift regions by up to half a pixel.
        """
        pooled = []
        for layer, feat, level_rois in zip(self.roi_layers, feats, rois):
            with torch.autocast(feat.device.type, enabled=False):
                if feat.dtype in (torch.float16, torch.bfloat16):
                    feat = feat.float()
                pooled.append(layer(feat, level_rois.to(feat.dtype)))
        return pooled


@MODELS.register_module()
class RegionEncoder(BaseModule):
    """RoI head of a detector without its predictors.

    It holds the same attributes as mmdet's ``StandardRoIHead``, so that the
    weights of ``bbox_head.shared_convs`` and ``bbox_head.shared_fcs`` pass
    into a detector as they are.

    Args:
        bbox_roi_extractor (dict): Config of the RoI extractor, which must
            return one tensor per level.
        bbox_head (dict): Config of mmdet's ``ConvFCBBoxHead`` or a subclass,
            stating the shared convolutions and fully connected layers. Its
            classification layer is replaced by the identity and it gets no
            regression layer.
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    def __init__(self,
                 bbox_roi_extractor: dict,
                 bbox_head: dict,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = MODELS.build(
            dict(
                bbox_head,
                with_reg=False,
                cls_predictor_cfg=dict(type=nn.Identity)))

    def extract(self, feats: tuple[Tensor],
                rois: Sequence[Tensor]) -> list[Tensor]:
        """Pool the regions from every level.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            rois (Sequence[Tensor]): L tensors of shape (R, 5).

        Returns:
            List[Tensor]: L tensors of shape (R, C, S, S).
        """
        return self.bbox_roi_extractor(feats, rois)

    def forward(self, region_feats: Tensor) -> Tensor:
        """Encode pooled regions by the shared layers of the box head.

        Args:
            region_feats (Tensor): Pooled regions, shape (R, C, S, S).

        Returns:
            Tensor: Shape (R, fc_out_channels).
        """
        return self.bbox_head(region_feats)[0]
