# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule
from torch import Tensor

from mmloc.models.utils import (
    assign_levels,
    effective_rank,
    flatten_ids,
    full_precision,
    match_by_id,
    relative_std,
)
from mmloc.registry import MODELS


@MODELS.register_module()
class SoCoHead(BaseModule):
    r"""Cosine loss between regions that show the same object (SoCo, Sec. 3).

    With the prediction :math:`p_i` of a region in one view, the target's
    projection :math:`z_j` of a region in the other view, and the matches
    :math:`M` of an image:

    .. math::

        L = -2 \, \frac{\sum_{(i, j) \in M} \cos(p_i, z_j)}{|M| + 10^{-6}}

    averaged over the images of the batch; an image without matches gives 0.
    Where the batches of several processes differ in size, each divides by
    the mean size, so that DDP's average over the processes is that over all
    images.
    Two regions match if they carry the same id. With more than one level each
    takes its features from the level to which its size in its own view
    assigns it, so matches may join two levels.

    Args:
        thresholds (Sequence[float], optional): See
            :func:`~mmloc.models.utils.assign_levels`; boxes above the last
            match nothing. None for a single level without any limit (C4).
            Defaults to (48, 96, 192, 224).
        inclusive (bool): See there. Defaults to False.
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    def __init__(self,
                 thresholds: Sequence[float] | None = (48, 96, 192, 224),
                 inclusive: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.thresholds = thresholds and tuple(thresholds)
        self.inclusive = inclusive

    def loss(self, prediction: Sequence[Tensor], projection: Sequence[Tensor],
             prediction_regions: tuple, projection_regions: tuple) -> Tensor:
        """Compute the loss of one direction of a pair of views.

        Args:
            prediction (Sequence[Tensor]): Predictions of the online network
                for view a, (R_a, C) on each of the L levels, or one tensor
                for all levels.
            projection (Sequence[Tensor]): Projections of the target network
                for view b, the same with R_b.
            prediction_regions (Tuple[Sequence[Tensor], Sequence[Tensor]]):
                Boxes, N tensors (K, 4), xyxy in pixels of view a, and
                instance ids, N tensors (K, ), in the order of the regions.
            projection_regions (Tuple[Sequence[Tensor], Sequence[Tensor]]):
                The same for view b.

        Returns:
            Tensor: Scalar, in [-2, 2] if all processes have as many images.
        """
        with torch.autocast(prediction[0].device.type, enabled=False):
            a, image_a, id_a, valid_a = self._select(prediction,
                                                     *prediction_regions)
            b, image_b, id_b, valid_b = self._select(projection,
                                                     *projection_regions)
            match = match_by_id(image_a, id_a, image_b, id_b)
            match = (match & valid_a[:, None] & valid_b).to(a.dtype)
            # Rows first, then images: both sums stay on the device.
            cosine = (match * (a @ b.t())).sum(dim=1)
            per_image = cosine.new_zeros(2, len(prediction_regions[0]))
            per_image.index_add_(1, image_a,
                                 torch.stack([cosine, match.sum(dim=1)]))
            images = reduce_mean(per_image.new_full((), per_image.size(1)))
            return -2 * (per_image[0] / (per_image[1] + 1e-6)).sum() / images

    @torch.no_grad()
    def statistics(self, prediction: Sequence[Tensor],
                   projection: Sequence[Tensor], prediction_regions: tuple,
                   projection_regions: tuple) -> dict[str, Tensor]:
        """Measure whether the embeddings still tell regions apart.

        Takes the arguments of :meth:`loss`.

        Args:
            prediction (Sequence[Tensor]): See :meth:`loss`.
            projection (Sequence[Tensor]): See there.
            prediction_regions (tuple): See there.
            projection_regions (tuple): See there.

        Returns:
            Dict[str, Tensor]: Of shape (1, ), over the regions that have a
            level: ``std`` and ``rank`` of the predictions
            (:func:`~mmloc.models.utils.relative_std`,
            :func:`~mmloc.models.utils.effective_rank`), ``max_rank``, the
            most that ``rank`` can be here, ``target_std`` of the projections,
            the mean cosine of matches ``pos_sim``, and that of regions of
            different images ``neg_sim``. Empty without any of these pairs.
        """
        with torch.autocast(prediction[0].device.type, enabled=False):
            a, image_a, id_a, valid_a = self._select(prediction,
                                                     *prediction_regions)
            b, image_b, id_b, valid_b = self._select(projection,
                                                     *projection_regions)
            valid = valid_a[:, None] & valid_b
            match = match_by_id(image_a, id_a, image_b, id_b) & valid
            other = (image_a[:, None] != image_b) & valid
            if not match.any() or not other.any():
                return {}
            cosine = a @ b.t()
            a, b = a[valid_a], b[valid_b]
            values = dict(
                std=relative_std(a),
                rank=effective_rank(a),
                max_rank=a.new_tensor(min(a.shape)),
                target_std=relative_std(b),
                pos_sim=cosine[match].mean(),
                neg_sim=cosine[other].mean())
            return {name: value[None] for name, value in values.items()}

    def _select(self, features: Sequence[Tensor], boxes: Sequence[Tensor],
                ids: Sequence[Tensor]) -> tuple:
        """Unit vectors (R, C) of the assigned levels, and for each region the
        image, the id and whether it has a level, (R, ) each."""
        image, flat_ids = flatten_ids(ids)
        if self.thresholds is None:
            levels = torch.zeros_like(image)
        else:
            levels = assign_levels(
                torch.cat(tuple(boxes)), self.thresholds, self.inclusive)
        if len(features) > 1:
            regions = torch.arange(len(image), device=image.device)
            selected = torch.stack(tuple(features))[levels.clamp(min=0),
                                                    regions]
        else:
            selected, = features
        selected = F.normalize(full_precision(selected), dim=1)
        return selected, image, flat_ids, levels >= 0
