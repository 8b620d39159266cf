# Copyright (c) mmloc contributors. All rights reserved.
"""Base of the algorithms that learn from regions with a target network.

Legend of the shapes in this package: N images of a batch, K instances of an
image, R regions of a batch (the sum of all K), L levels of the feature
pyramid, C channels, Q length of the queue, S side of a pooled region.
"""
from collections.abc import Sequence

import torch
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
               rois: Sequence[Tensor]) -> list[Tensor]:
        """Embed regions by the online or the target network.

        Args:
            net (nn.Module): ``self`` or ``self.target.module``.
            x (Tensor): One view, shape (N, 3, H, W).
            rois (Sequence[Tensor]): The regions to pool from each of the L
                levels, each (R, 5) as in mmdet's ``bbox2roi``.

        Returns:
            List[Tensor]: L tensors of shape (R, C), not normalised.
        """
        levels = net.roi_head.extract(net.neck(net.backbone(x)), rois)
        num_levels = len(levels)
        if self.stack_levels:
            levels = [torch.stack(levels, dim=1).flatten(0, 1)]
        embeddings = [net.projector(net.roi_head(level)) for level in levels]
        if self.stack_levels:
            embeddings = embeddings[0].unflatten(0, (-1, num_levels)).unbind(1)
        return list(embeddings)
