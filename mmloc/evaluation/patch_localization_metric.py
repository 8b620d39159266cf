# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmloc.registry import METRICS


@METRICS.register_module()
class PatchLocalizationMetric(BaseMetric):
    """How well patches of images are found in these images again.

    Samples carry ``matches`` (:class:`~mmloc.models.PatchLocalizer`) and the
    true box. Reported for each match, which is named '{query}_{source}':

    - ``_hit``: share of the patches (%) whose best box of the true size has
      an IoU of at least 0.5 with the true box;
    - ``_center``: median distance between the centres of the two, in pixels
      of the input image;
    - ``_hit_any_size``: as ``_hit``, for the best box of all sizes.

    Two places without a network go through the same: ``chance``, a place
    drawn uniformly, and ``middle``, that of the image. They are given the
    true size, so that they stand beside ``_hit``.

    Args:
        iou_thr (float): IoU of a hit. Defaults to 0.5.
        seed (int): Seed of the drawn places. Defaults to 0.
        collect_device (str): As of mmengine's metrics. Defaults to 'cpu'.
        prefix (str, optional): Defaults to None, for 'patch'.

    Raises:
        ValueError: ``iou_thr`` is outside (0, 1].
    """

    default_prefix = 'patch'

    def __init__(self,
                 iou_thr: float = 0.5,
                 seed: int = 0,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 < iou_thr <= 1:
            raise ValueError(
                f'iou_thr is {iou_thr}, expected a number in (0, 1]')
        self.iou_thr = iou_thr
        self.seed = seed

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the boxes, one entry for each image.

        Args:
            data_batch (dict): Not needed.
            data_samples (Sequence[dict]): Of the model.
        """
        for sample in data_samples:
            boxes = sample['gt_instances']['bboxes']
            truth = getattr(boxes, 'tensor', boxes).cpu()
            self.results.append(
                (truth, sample['img_shape'][:2], sample['matches']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compare the found boxes with the true ones.

        Args:
            results (list): Of :meth:`process`, from all processes.

        Returns:
            dict[str, float]: In per cent and pixels.
        """
        truth = torch.cat([box for box, *_ in results])
        shapes = torch.tensor([shape for _, shape, _ in results])
        metrics = {}
        for name, found in self._without_network(truth, shapes).items():
            hit, metrics[f'{name}_center'] = self._compare(found, truth)
            metrics[f'{name}_hit'] = hit
        for name in results[0][2]:
            given, free = torch.stack([found[name] for *_, found in results],
                                      dim=1)
            metrics[f'{name}_hit'], metrics[f'{name}_center'] = self._compare(
                given, truth)
            metrics[f'{name}_hit_any_size'] = self._compare(free, truth)[0]
        return metrics

    def _without_network(self, truth: Tensor,
                         shapes: Tensor) -> dict[str, Tensor]:
        """Boxes of the true size at a drawn place and in the middle."""
        sizes = truth[:, 2:] - truth[:, :2]
        room = shapes.flip(1) - sizes
        generator = torch.Generator().manual_seed(self.seed)
        places = dict(
            chance=torch.rand(room.shape, generator=generator), middle=0.5)
        return {
            name: torch.cat([room * place, room * place + sizes], dim=1)
            for name, place in places.items()
        }

    def _compare(self, found: Tensor, truth: Tensor) -> tuple[float, float]:
        """Share of hits (%) and median distance of the centres (pixels)."""
        ious = bbox_overlaps(found, truth, is_aligned=True)
        offset = (found - truth).reshape(-1, 2, 2).mean(dim=1)
        hits = (ious >= self.iou_thr).float().mean()
        return 100 * hits.item(), offset.norm(dim=1).median().item()
