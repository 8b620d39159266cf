# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmloc.models.utils import assign_levels, full_precision
from mmloc.registry import MODELS


@MODELS.register_module()
class AllLevelRoIExtractor(BaseRoIExtractor):
    """Pool every region from every level of the feature pyramid.

    A detector assigns each box to one level by its size. InsLoc (Sec. 3.2)
    and SoCo contrast the features of a region on all levels instead.

    Args:
        stretch_to_maps (bool): Whether a view fills each feature map exactly.
            The side of a map is that of the view over the stride, rounded
            up. Detectors divide coordinates by the stride; the published
            code of SoCo multiplies the relative coordinates by the side of
            the map, which differs where the stride does not divide the view
            (a view of 112 pixels on P5). Defaults to False.
        **kwargs: Of mmdet's ``BaseRoIExtractor``.
    """

    def __init__(self, *args, stretch_to_maps: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.stretch_to_maps = stretch_to_maps

    def forward(self, feats: tuple[Tensor], rois: Sequence[Tensor],
                img_shape: tuple[int, int]) -> list[Tensor]:
        """Pool the regions.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            rois (Sequence[Tensor]): Regions to pool from each of the L
                levels, each (R, 5): index of the image, x1, y1, x2, y2 in
                pixels of the input image.
            img_shape (Tuple[int, int]): Height and width of the input image.

        Returns:
            List[Tensor]: L tensors of shape (R, C, S, S). Under autocast
            the pooling runs in float32, since box coordinates in half
            precision would shift regions by up to half a pixel.
        """
        return [
            self._pool(level, feats[level], level_rois, img_shape)
            for level, level_rois in enumerate(rois)
        ]

    def _pool(self, level: int, feat: Tensor, rois: Tensor,
              img_shape: tuple[int, int]) -> Tensor:
        if len(rois) == 0:
            # mmcv's CUDA kernel cannot be launched on nothing. Tied to the
            # map, so that each rank has a gradient for every parameter.
            size = self.roi_layers[level].output_size
            return full_precision(feat)[:0].sum() + feat.new_zeros(
                0, feat.shape[1], *size)
        if self.stretch_to_maps:
            stride = self.featmap_strides[level]
            rois = rois.clone()
            for axis, first in ((-2, 2), (-1, 1)):
                stretch = stride * feat.shape[axis] / img_shape[axis]
                rois[:, first::2] *= stretch
        with torch.autocast(feat.device.type, enabled=False):
            feat = full_precision(feat)
            return self.roi_layers[level](feat, rois.to(feat.dtype))


@MODELS.register_module()
class AssignedLevelRoIExtractor(AllLevelRoIExtractor):
    """Pool each region from the level that its size assigns it to only.

    A cheaper alternative for SoCo, whose loss reads no other level: a box
    head then sees R instead of L times R regions. It is not the published
    computation, since the BatchNorm layers of head, projector and predictor
    get one batch of regions of mixed levels instead of one batch per level
    that holds every region.

    Args:
        thresholds (Sequence[float]): See
            :func:`~mmloc.models.utils.assign_levels`; those of the loss head.
        inclusive (bool): See there. Defaults to False.
        **kwargs: Of :class:`AllLevelRoIExtractor`.
    """

    def __init__(self,
                 *args,
                 thresholds: Sequence[float] = (48, 96, 192, 224),
                 inclusive: bool = False,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if len(thresholds) != self.num_inputs:
            raise ValueError(
                f'thresholds is {tuple(thresholds)} for {self.num_inputs} '
                'levels; give one threshold per level.')
        self.thresholds = tuple(thresholds)
        self.inclusive = inclusive

    def forward(self, feats: tuple[Tensor], rois: Sequence[Tensor],
                img_shape: tuple[int, int]) -> list[Tensor]:
        """Pool the regions.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            rois (Sequence[Tensor]): L times the same regions, (R, 5).
            img_shape (Tuple[int, int]): Height and width of the input image.

        Returns:
            List[Tensor]: One tensor of shape (R, C, S, S). Regions without a
            level, which no loss reads, are pooled from the coarsest.
        """
        rois = rois[0]
        levels = assign_levels(rois[:, 1:], self.thresholds, self.inclusive)
        levels = levels % self.num_inputs
        members = [(levels == i).nonzero()[:, 0]
                   for i in range(self.num_inputs)]
        pooled = [
            self._pool(i, feats[i], rois[member], img_shape)
            for i, member in enumerate(members)
        ]
        return [torch.cat(pooled)[torch.cat(members).argsort()]]


@MODELS.register_module()
class RegionEncoder(BaseModule):
    """RoI head of a detector without its predictors.

    It holds the same attributes as mmdet's ``StandardRoIHead``, so that the
    weights of ``bbox_head.shared_convs`` and ``bbox_head.shared_fcs`` pass
    into a detector as they are.

    Args:
        bbox_roi_extractor (dict): Config of the RoI extractor, which returns
            a list of tensors, one per level or one for all.
        bbox_head (dict): Config of mmdet's ``ConvFCBBoxHead`` or a subclass,
            stating the shared convolutions and fully connected layers. Its
            classification layer is replaced by the identity and it gets no
            regression layer. For C4 it is a ``BBoxHead`` that averages over
            the region.
        shared_head (dict, optional): Config of the last stage of the
            backbone, which works on regions (C4): mmdet's ``ResLayer``.
            Defaults to None.
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    def __init__(self,
                 bbox_roi_extractor: dict,
                 bbox_head: dict,
                 shared_head: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.shared_head = MODELS.build(shared_head) if shared_head else None
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = MODELS.build(
            dict(
                bbox_head,
                with_reg=False,
                cls_predictor_cfg=dict(type=nn.Identity)))

    def extract(self, feats: tuple[Tensor], rois: Sequence[Tensor],
                img_shape: tuple[int, int]) -> list[Tensor]:
        """Pool the regions.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            rois (Sequence[Tensor]): L tensors of shape (R, 5).
            img_shape (Tuple[int, int]): Height and width of the input image.

        Returns:
            List[Tensor]: What the RoI extractor returns, each tensor of
            shape (R, C, S, S).
        """
        return self.bbox_roi_extractor(feats, rois, img_shape)

    def forward(self, region_feats: Tensor) -> Tensor:
        """Encode pooled regions by the shared layers of the RoI head.

        Args:
            region_feats (Tensor): Pooled regions, shape (R, C, S, S).

        Returns:
            Tensor: Shape (R, fc_out_channels).
        """
        if self.shared_head is not None:
            region_feats = self.shared_head(region_feats)
        return self.bbox_head(region_feats)[0]
