# Copyright (c) mmloc contributors. All rights reserved.
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.models.roi_heads.shared_heads import ResLayer as MMDetResLayer

from mmloc.registry import MODELS


@MODELS.register_module()
class ResLayer(MMDetResLayer):
    """mmdet's last ResNet stage as a RoI head, which can start as a backbone.

    Args:
        zero_init_residual (bool): Whether the last norm of each block starts
            at 0, as in mmdet's ``ResNet``, which has this argument, while its
            ``ResLayer`` has not. Defaults to True.
        **kwargs: Of mmdet's ``ResLayer``.
    """

    def __init__(self,
                 *args,
                 zero_init_residual: bool = True,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if zero_init_residual:
            for block in getattr(self, f'layer{self.stage + 1}'):
                last = 'norm3' if isinstance(block, Bottleneck) else 'norm2'
                block.init_cfg = dict(
                    type='Constant', val=0, override=dict(name=last))
