# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmloc.registry import MODELS

from .patch_matching import best_window
from .sources import feature_maps, pool_boxes, stride_of


@MODELS.register_module()
class PatchLocalizer(BaseModel):
    """A frozen network that looks for patches of images in these images.

    A sample has several views: ``target``, the image, with the box that is
    looked for, and queries, images that show the patch in a box of theirs.
    The query's box is pooled to S x S cells (RoIAlign) and compared with all
    boxes of the true size, see :func:`best_window`, and then with those of
    all sizes. docs/probes.md has the protocol and its reasons.

    Images pass the network one by one, so that neither padding nor the
    composition of a batch changes a match.

    Args:
        data_preprocessor (dict | nn.Module): As of a detector.
        backbone (dict): Config of the backbone.
        neck (dict, optional): Config of the neck. Defaults to None.
        sources (Sequence[str]): Maps to compare, see
            :mod:`mmloc.models.probes.sources`.
            Defaults to ('pixels', 'c3', 'c4', 'c5').
        output_size (int): Cells S of a side. Defaults to 7.
        size_factors (Sequence[float]): Sizes among which the patch is looked
            for when its size is not given, relative to the true one.
            Defaults to (0.5, 0.71, 1.0, 1.41, 2.0).
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    def __init__(self,
                 data_preprocessor: dict | nn.Module,
                 backbone: dict,
                 neck: dict | None = None,
                 sources: Sequence[str] = ('pixels', 'c3', 'c4', 'c5'),
                 output_size: int = 7,
                 size_factors: Sequence[float] = (0.5, 0.71, 1.0, 1.41, 2.0),
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.sources = tuple(sources)
        self.output_size = output_size
        if 1 not in size_factors:
            raise ValueError(f'size_factors is {tuple(size_factors)}, '
                             'expected 1, the true size, to be among them')
        self.size_factors = tuple(size_factors)

    def test_step(self, data: dict) -> list[DetDataSample]:
        """Preprocess every view, then look for the patches.

        Args:
            data (dict): ``inputs`` {view: N images} and ``data_samples``
                {view: N samples}, as MultiBranch gives them.

        Returns:
            List[DetDataSample]: See :meth:`forward`.
        """
        views = {
            view: self.data_preprocessor(
                dict(inputs=images, data_samples=data['data_samples'][view]))
            for view, images in data['inputs'].items()
        }
        return self(
            {view: batch['inputs'] for view, batch in views.items()},
            {view: batch['data_samples'] for view, batch in views.items()},
            mode='predict')

    def forward(self,
                inputs: dict[str, Tensor],
                data_samples: dict[str, list],
                mode: str = 'predict') -> list[DetDataSample]:
        """Look for the patches.

        Args:
            inputs (Dict[str, Tensor]): The views, each (N, 3, H, W).
            data_samples (Dict[str, List[DetDataSample]]): N samples of each
                view with one box in ``gt_instances.bboxes``, (1, 4).
            mode (str): 'predict'.

        Returns:
            List[DetDataSample]: The samples of the target with ``matches``:
            '{query}_{source}' -> Tensor (2, 4) on the CPU, the best box of
            the true size and that of any size, xyxy in pixels.

        Raises:
            ValueError: For another mode: nothing is trained here.
        """
        if mode != 'predict':
            raise ValueError(
                f'mode is {mode!r}, but PatchLocalizer is not trained: run '
                'its config by tools/test.py')
        queries = [view for view in inputs if view != 'target']
        for i, target in enumerate(data_samples['target']):
            image, box = _only(inputs, data_samples, 'target', i)
            maps = feature_maps(self, image)
            target.matches = {}
            for query in queries:
                templates = self._templates(inputs, data_samples, query, i)
                target.matches |= {
                    f'{query}_{source}': self._match(
                        image, maps[source], stride_of(source), template, box)
                    for source, template in templates.items()
                }
        return data_samples['target']

    def _templates(self, inputs: dict, data_samples: dict, view: str,
                   i: int) -> dict[str, Tensor]:
        """Pool the box of a query from every source."""
        image, box = _only(inputs, data_samples, view, i)
        maps = feature_maps(self, image)
        if not set(self.sources) <= set(maps):
            raise ValueError(f'sources is {self.sources}, but the network '
                             f'has the maps {", ".join(maps)}')
        return {
            source: pool_boxes(maps, source, [box[None]], self.output_size)[0]
            for source in self.sources
        }

    def _match(self, image: Tensor, feature_map: Tensor, stride: int,
               template: Tensor, box: Tensor) -> Tensor:
        """Find a template by its true size, and by any size."""
        size = (box[2:] - box[:2]).tolist()
        found = {
            factor: best_window(feature_map[0], stride, template,
                                [factor * n for n in size], image.shape[-2:])
            for factor in self.size_factors
        }
        return torch.tensor([found[1][1], max(found.values())[1]])


def _only(inputs: dict, data_samples: dict, view: str,
          i: int) -> tuple[Tensor, Tensor]:
    """One image without its padding, (1, 3, H, W), and its box, (4, )."""
    sample = data_samples[view][i]
    height, width = sample.img_shape[:2]
    image = inputs[view][i:i + 1, :, :height, :width]
    boxes = sample.gt_instances.bboxes
    return image, getattr(boxes, 'tensor', boxes)[0].to(image)
