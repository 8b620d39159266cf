# Copyright (c) mmloc contributors. All rights reserved.
"""Base of the algorithms that learn from regions with a target network.

Legend of the shapes in this package: N images of a batch, K instances of an
image, R regions of a batch (the sum of all K), L levels of the feature
pyramid, C channels, Q length of the queue, S side of a pooled region.
"""
from collections.abc import Sequence

import torch
from mmdet.structures.bbox import bbox2roi
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from mmloc.registry import MODELS


class MomentumRegionLearner(BaseSelfSupervisor):
    """Online network shaped like a detector, with a momentum target.

    The online parts are attributes with the names that an mmdet two-stage
    detector gives them (``backbone``, ``neck``, ``roi_head``), so a detector
    loads a checkpoint of pretraining as it is. Only ``projector``, ``target``
    and ``head`` serve the pretext task.

    Subclasses implement ``loss``.

    Args:
        backbone (dict): Config of the backbone.
        neck (dict): Config of the neck, which returns L levels.
        roi_head (dict): Config of a :class:`RegionEncoder`.
        projector (dict): Config of the module that maps encoded regions to
            embeddings, (R, C_in) to (R, C). R may be 0.
        head (dict): Config of the loss head.
        target (dict): Config of the :class:`MomentumTarget`.
        stack_levels (bool): Whether the levels pass box head and projector
            as one batch, sharing the BatchNorm statistics (InsLoc), or one
            after the other (SoCo). Defaults to False.
        bn_splits (int): Number of equal parts into which a batch is cut.
            They pass the networks one after the other, each with its own
            BatchNorm statistics, as if each were on a GPU of its own. A
            single process needs more than 1, or query and key of a sample
            share their statistics and give themselves away. Defaults to 1,
            as published for several GPUs.
        data_preprocessor (dict | nn.Module): The data preprocessor, which
            returns a dict of views.
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    #: Attributes that the target network copies.
    online_parts = ('backbone', 'neck', 'roi_head', 'projector')

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 roi_head: dict,
                 projector: dict,
                 head: dict,
                 target: dict,
                 data_preprocessor: dict | nn.Module,
                 stack_levels: bool = False,
                 bn_splits: int = 1,
                 init_cfg: dict | None = None) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        self.roi_head = MODELS.build(roi_head)
        self.projector = MODELS.build(projector)
        self.stack_levels = stack_levels
        if bn_splits < 1:
            raise ValueError(
                f'bn_splits is {bn_splits}, but it must be 1 or more.')
        self.bn_splits = bn_splits
        self.target = MODELS.build(dict(target, model=self.online))

    @property
    def online(self) -> nn.ModuleDict:
        """The parts of the online network that the target copies."""
        return nn.ModuleDict(
            {name: getattr(self, name)
             for name in self.online_parts})

    def init_weights(self) -> None:
        """Initialise the online network and copy it to the target."""
        super().init_weights()
        self.target.copy_from(self.online)

    def encode(self, net: nn.Module, x: Tensor,
               boxes: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Embed regions by the online or the target network.

        Args:
            net (nn.Module): ``self`` or ``self.target.module``.
            x (Tensor): One view, shape (N, 3, H, W).
            boxes (Sequence[Sequence[Tensor]]): For each of the L levels the
                boxes to pool from it, N tensors of shape (K, 4), xyxy in
                pixels of the view.

        Returns:
            list[Tensor]: L tensors of shape (R, C), not normalised, image by
            image in the order of the boxes.
        """
        size = -(-len(x) // self.bn_splits)
        parts = [
            self._encode_part(net, x[i:i + size],
                              [level[i:i + size] for level in boxes])
            for i in range(0, len(x), size)
        ]
        return [torch.cat(level) for level in zip(*parts)]

    def _encode_part(self, net: nn.Module, x: Tensor,
                     boxes: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """:meth:`encode` for images that share their BatchNorm batch."""
        rois = [bbox2roi(level) for level in boxes]
        levels = net.roi_head.extract(net.neck(net.backbone(x)), rois)
        num_levels = len(levels)
        if self.stack_levels:
            levels = [torch.stack(levels, dim=1).flatten(0, 1)]
        embeddings = [net.projector(net.roi_head(level)) for level in levels]
        if self.stack_levels:
            embeddings = embeddings[0].unflatten(0, (-1, num_levels)).unbind(1)
        return list(embeddings)
