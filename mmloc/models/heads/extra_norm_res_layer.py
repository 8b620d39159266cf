# Copyright (c) mmloc contributors. All rights reserved.
from mmcv.cnn import build_norm_layer
from mmdet.models.backbones import ResNet
from mmdet.models.roi_heads.shared_heads import ResLayer
from torch import Tensor

from mmloc.registry import MODELS


@MODELS.register_module()
class ExtraNormResLayer(ResLayer):
    """The last stage of a ResNet as shared RoI head, with a new norm behind.

    The published C4 detectors normalize the features of regions anew before
    the predictors of boxes and masks, which see unnormalized sums of the
    residual branches otherwise. Paths of the pretrained layers are those of
    :obj:`mmdet.ResLayer`: ``layer4.*``.

    Source: MoCo's transfer code, ``Res5ROIHeadsExtraNorm``, which SoCo and
    InsLoc use for C4.

    Args:
        depth (int): Depth of the ResNet.
        norm_cfg (dict, optional): Norm of the stage and of the extra layer.
            Defaults to ``dict(type='SyncBN')``.
        norm_eval (bool): Whether all norms keep their statistics in training,
            which leaves the extra one without any. Defaults to False.
        **kwargs: Arguments of :obj:`mmdet.ResLayer`.
    """

    def __init__(self,
                 depth: int,
                 *args,
                 norm_cfg: dict | None = None,
                 norm_eval: bool = False,
                 **kwargs) -> None:
        norm_cfg = norm_cfg or dict(type='SyncBN')
        super().__init__(
            depth, *args, norm_cfg=norm_cfg, norm_eval=norm_eval, **kwargs)
        block, _ = ResNet.arch_settings[depth]
        channels = 64 * 2**self.stage * block.expansion
        self.extra_norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Encode the pooled features of regions.

        Args:
            x (Tensor): (R, C, S, S).

        Returns:
            Tensor: (R, 2C, S / stride, S / stride), rounded up.
        """
        return self.extra_norm(super().forward(x))
