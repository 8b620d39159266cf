# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmloc.models.utils import (
    assign_levels,
    drop_padding,
    full_precision,
    norm_by_parts,
    pad_boxes,
    pool_by_kernel,
    pool_by_matmul,
)
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
        by_matmul (bool): Whether RoIAlign runs as two matrix products
            (:func:`~mmloc.models.utils.pool_by_matmul`), which gives the
            same but for rounding, or by mmcv's kernel. Defaults to True.
        **kwargs: Of mmdet's ``BaseRoIExtractor``.

    Raises:
        ValueError: If ``by_matmul`` is set for another layer than average
            RoIAlign.
    """

    def __init__(self,
                 *args,
                 stretch_to_maps: bool = False,
                 by_matmul: bool = True,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.stretch_to_maps = stretch_to_maps
        self.by_matmul = by_matmul
        if by_matmul and any(
                not isinstance(layer, RoIAlign) or layer.pool_mode != 'avg'
                for layer in self.roi_layers):
            raise ValueError(
                f'the RoI layer is {self.roi_layers[0]}, but by_matmul knows '
                "average RoIAlign only; use dict(type='RoIAlign') or set "
                'by_matmul=False.')

    def forward(self, feats: tuple[Tensor],
                box_sets: Sequence[Sequence[Sequence[Tensor]]],
                img_shape: tuple[int, int]) -> list[list[Tensor]]:
        """Pool the regions, all sets of a level at once.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            box_sets (Sequence[Sequence[Sequence[Tensor]]]): Sets of boxes.
                Each holds, for each of the L levels, N tensors of shape
                (K, 4), xyxy in pixels of the input image.
            img_shape (Tuple[int, int]): Height and width of the input image.

        Returns:
            List[List[Tensor]]: For each set L tensors of shape (R, C, S, S).
            Under autocast the pooling runs in float32, since box coordinates
            in half precision would shift regions by up to half a pixel.
        """
        # Most levels share one list of boxes.
        batched = {
            id(boxes): pad_boxes(boxes)
            for box_set in box_sets for boxes in box_set
        }
        levels = [
            self._pool(level, feat,
                       [batched[id(box_set[level])] for box_set in box_sets],
                       img_shape) for level, feat in enumerate(feats)
        ]
        return [list(pooled) for pooled in zip(*levels)]

    def _pool(self, level: int, feat: Tensor, box_sets: Sequence[tuple],
              img_shape: tuple[int, int]) -> list[Tensor]:
        """Pool from a level; sets as :func:`pad_boxes` gives them."""
        layer, counts = self.roi_layers[level], [x for _, x in box_sets]
        with torch.autocast(feat.device.type, enabled=False):
            feat = full_precision(feat)
            boxes = [
                self._to_map(level, x.to(feat.dtype), feat, img_shape)
                for x, _ in box_sets
            ]
            pool = pool_by_matmul if self.by_matmul else pool_by_kernel
            pooled = pool(feat, boxes, layer.output_size,
                          layer.sampling_ratio, layer.aligned)
        return [drop_padding(x, count) for x, count in zip(pooled, counts)]

    def _to_map(self, level: int, boxes: Tensor, feat: Tensor,
                img_shape: tuple[int, int]) -> Tensor:
        """Turn pixels of the image to those of a map."""
        boxes = boxes * self.roi_layers[level].spatial_scale
        if self.stretch_to_maps:
            stride = self.featmap_strides[level]
            x, y = (stride * feat.shape[axis] / img_shape[axis]
                    for axis in (-1, -2))
            boxes = torch.stack([
                side * stretch
                for side, stretch in zip(boxes.unbind(-1), (x, y, x, y))
            ], dim=-1)
        return boxes


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

    def forward(self, feats: tuple[Tensor],
                box_sets: Sequence[Sequence[Sequence[Tensor]]],
                img_shape: tuple[int, int]) -> list[list[Tensor]]:
        """Pool the regions.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            box_sets (Sequence[Sequence[Sequence[Tensor]]]): Sets of boxes,
                each L times the same N tensors of shape (K, 4).
            img_shape (Tuple[int, int]): Height and width of the input image.

        Returns:
            List[List[Tensor]]: For each set one tensor of shape
            (R, C, S, S). Regions without a level, which no loss reads, are
            pooled from the coarsest.
        """
        everywhere = super().forward(feats, box_sets, img_shape)
        selected = []
        for box_set, regions in zip(box_sets, everywhere):
            levels = assign_levels(
                torch.cat(tuple(box_set[0])), self.thresholds, self.inclusive)
            levels = levels % self.num_inputs
            index = torch.arange(len(levels), device=levels.device)
            selected.append([torch.stack(regions)[levels, index]])
        return selected


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

    def extract(self, feats: tuple[Tensor],
                box_sets: Sequence[Sequence[Sequence[Tensor]]],
                img_shape: tuple[int, int]) -> list[list[Tensor]]:
        """Pool the regions.

        Args:
            feats (Tuple[Tensor]): L feature maps, each (N, C, H_l, W_l).
            box_sets (Sequence[Sequence[Sequence[Tensor]]]): Sets of boxes.
                Each holds, for each of the L levels, N tensors of shape
                (K, 4), xyxy in pixels of the input image.
            img_shape (Tuple[int, int]): Height and width of the input image.

        Returns:
            List[List[Tensor]]: For each set what the RoI extractor returns,
            each tensor of shape (R, C, S, S).
        """
        return self.bbox_roi_extractor(feats, box_sets, img_shape)

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

    def forward_parts(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Encode parts, each a batch of its own to BatchNorm.

        All parts pass the convolutions and fully connected layers of an
        mmdet ``ConvFCBBoxHead`` at once. Other heads get one after another.

        Args:
            parts (Sequence[Tensor]): P tensors of shape (R, C, S, S).

        Returns:
            list[Tensor]: P tensors of shape (R, fc_out_channels), equal to
            those of :meth:`forward` for each part in turn but for rounding.
        """
        head = self.bbox_head
        if not self._joins_parts():
            return [self(part) for part in parts]
        if self.shared_head is not None:
            parts = [self.shared_head(part) for part in parts]
        sizes = [len(part) for part in parts]
        x = torch.cat(tuple(parts))
        for conv in head.shared_convs:
            x = conv(x, activate=False, norm=False)
            if conv.with_norm:
                x = norm_by_parts(conv.norm, x, sizes)
            if conv.with_activation:
                x = conv.activate(x)
        if head.with_avg_pool:
            x = head.avg_pool(x)
        x = x.flatten(1)
        for fc in head.shared_fcs:
            x = head.relu(fc(x))
        return list(x.split(sizes))

    def _joins_parts(self) -> bool:
        """Whether it is known what the layers of the head do."""
        head = self.bbox_head
        return (type(head).forward is ConvFCBBoxHead.forward
                and not head.num_cls_convs + head.num_cls_fcs and all(
                    conv.order == ('conv', 'norm', 'act')
                    for conv in head.shared_convs))
