# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmloc.registry import MODELS

from .sources import box_features, feature_maps


@MODELS.register_module()
class BoxFeatureExtractor(BaseModel):
    """A frozen network that describes given boxes by vectors.

    Its parts have the paths of a detector, so that every checkpoint of a
    detector or of pretraining loads as it is.

    Args:
        data_preprocessor (dict | nn.Module): As of a detector.
        backbone (dict): Config of the backbone.
        neck (dict, optional): Config of the neck. Defaults to None.
        roi_head (dict, optional): Config of a :class:`RegionEncoder`.
            Defaults to None.
        projector (dict, optional): Config of the projector of a pretraining.
            Defaults to None.
        sources (Sequence[str]): Where the vectors are read, see
            :mod:`mmloc.models.probes.sources`. Defaults to ('c4', 'c5').
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    def __init__(self,
                 data_preprocessor: dict | nn.Module,
                 backbone: dict,
                 neck: dict | None = None,
                 roi_head: dict | None = None,
                 projector: dict | None = None,
                 sources: Sequence[str] = ('c4', 'c5'),
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        for name, cfg in dict(
                neck=neck, roi_head=roi_head, projector=projector).items():
            if cfg is not None:
                setattr(self, name, MODELS.build(cfg))
        self.sources = tuple(sources)

    def forward(self,
                inputs: Tensor,
                data_samples: list[DetDataSample] | None = None,
                mode: str = 'tensor') -> dict | list[DetDataSample]:
        """Describe the boxes of ``gt_instances``.

        Args:
            inputs (Tensor): Normalised images, (N, 3, H, W).
            data_samples (List[DetDataSample], optional): With
                ``gt_instances.bboxes``, (K, 4), xyxy in pixels of the input.
            mode (str): 'predict', or 'tensor' for the maps only.

        Returns:
            List[DetDataSample] or Dict[str, Tensor]: The samples with
            ``pred_instances``, which has ``labels`` (K, ) and a field (K, C)
            for each source; or :func:`feature_maps`.

        Raises:
            ValueError: For mode 'loss': nothing is trained here.
        """
        if mode == 'tensor':
            return feature_maps(self, inputs)
        if mode != 'predict':
            raise ValueError(
                f'mode is {mode!r}, but BoxFeatureExtractor is not trained: '
                'run its config by tools/test.py')
        instances = [sample.gt_instances for sample in data_samples]
        boxes = [getattr(item.bboxes, 'tensor', item.bboxes).to(inputs)
                 for item in instances]
        vectors = box_features(self, inputs, boxes, self.sources)
        counts = [len(item) for item in instances]
        split = {name: v.split(counts) for name, v in vectors.items()}
        for i, sample in enumerate(data_samples):
            sample.pred_instances = InstanceData(
                labels=instances[i].labels,
                **{name: parts[i] for name, parts in split.items()})
        return data_samples
