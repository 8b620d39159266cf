# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from mmloc.models.utils import (
    effective_rank,
    flatten_ids,
    full_precision,
    match_by_id,
    negatives_log_sum_exp,
    relative_std,
)
from mmloc.registry import MODELS


@MODELS.register_module()
class InsLocHead(BaseModule):
    r"""Per-level InfoNCE loss over a queue (InsLoc, Sec. 3.1 and 3.2).

    For a query region :math:`q` on a level, the key :math:`k_+` of the same
    instance on the same level and the queue :math:`\{k_i\}` of that level:

    .. math::

        L = -\log \frac{\exp(q \cdot k_+ / \tau)}
            {\exp(q \cdot k_+ / \tau) + \sum_i \exp(q \cdot k_i / \tau)}

    averaged over the regions. The total is the sum over the levels. The keys
    enter the queue after the loss, so they are no negatives of their own
    step. Everything here runs in float32 at least, also under autocast.

    With several processes each divides its sum by the mean number of regions
    of a process. The mean over the processes, which is what DDP makes of the
    gradients, is then the mean over all regions, wherever they are.

    Args:
        queue (dict): Config of the :class:`FeatureQueue`.
        temperature (float): :math:`\tau > 0`. Defaults to 0.2.
        loss_weights (Sequence[float], optional): Weight of each level.
            Defaults to 1 for every level.
        level_names (Sequence[str], optional): Names of the levels in the
            log. Defaults to 'level0', 'level1', ...
        init_cfg (dict, optional): Initialisation. Defaults to None.

    Raises:
        ValueError: If the temperature is not positive, or weights or names
            do not fit the number of levels.
    """

    def __init__(self,
                 queue: dict,
                 temperature: float = 0.2,
                 loss_weights: Sequence[float] | None = None,
                 level_names: Sequence[str] | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.queue = MODELS.build(queue)
        num_levels = len(self.queue.features)
        if temperature <= 0:
            raise ValueError(
                f'temperature is {temperature}, but it must be positive.')
        self.temperature = temperature
        self.loss_weights = loss_weights or [1.0] * num_levels
        self.level_names = level_names or [
            f'level{i}' for i in range(num_levels)
        ]
        for name in ('loss_weights', 'level_names'):
            if len(getattr(self, name)) != num_levels:
                raise ValueError(
                    f'{name} has {len(getattr(self, name))} entries for a '
                    f'queue of {num_levels} levels; give one per level.')

    def loss(self, query: list[Tensor], key: list[Tensor],
             query_samples: list, key_samples: list) -> dict[str, Tensor]:
        """Compute the losses and put the keys into the queue.

        Args:
            query (List[Tensor]): Embeddings of the query regions, one tensor
                of shape (R_q, C) per level, in the order of the instances
                of ``query_samples``.
            key (List[Tensor]): Embeddings of the key regions, L tensors of
                shape (R_k, C), without gradient.
            query_samples (List[DetDataSample]): N samples whose
                ``gt_instances.labels`` are instance ids.
            key_samples (List[DetDataSample]): The same for the key.

        Returns:
            Dict[str, Tensor]: ``loss_<level>`` and ``acc_<level>`` (top-1
            accuracy in percent, of this process), scalars. Regions whose
            instance the key view lacks have no part in them.
        """
        with torch.autocast(query[0].device.type, enabled=False):
            query, key, match = self._prepare(query, key, query_samples,
                                              key_samples)
            count = match.any(dim=1).to(query[0].dtype).sum()
            ranks_mean = reduce_mean(count).clamp(min=1 / get_world_size())
            losses = {}
            for level, name in enumerate(self.level_names):
                loss, hits = self._level_sums(query[level], key[level], match,
                                              level)
                losses[f'loss_{name}'] = (
                    loss / ranks_mean * self.loss_weights[level])
                losses[f'acc_{name}'] = 100 * hits / count.clamp(min=1)
            self.queue.enqueue(torch.stack(key, dim=1))
        return losses

    @torch.no_grad()
    def statistics(self, query: list[Tensor], key: list[Tensor],
                   query_samples: list,
                   key_samples: list) -> dict[str, Tensor]:
        """Measure whether the embeddings still tell regions apart.

        Takes the arguments of :meth:`loss`, before it has been called, and
        changes nothing.

        Args:
            query (List[Tensor]): See :meth:`loss`.
            key (List[Tensor]): See there.
            query_samples (List[DetDataSample]): See there.
            key_samples (List[DetDataSample]): See there.

        Returns:
            Dict[str, Tensor]: One value for each of the L levels: ``std``
            and ``rank`` of the queries
            (:func:`~mmloc.models.utils.relative_std`,
            :func:`~mmloc.models.utils.effective_rank`), the mean cosine of
            queries and their keys ``pos_sim``, and that of queries and queue
            ``neg_sim``. Single values: ``max_rank``, the most that ``rank``
            can be here, and ``queue_age``, the number of iterations that a
            key stays in the queue. Empty for fewer than two regions.
        """
        with torch.autocast(query[0].device.type, enabled=False):
            query, key, match = self._prepare(query, key, query_samples,
                                              key_samples)
            query, key = torch.stack(query), torch.stack(key)
            matched = match.any(dim=1)
            if len(matched) < 2 or not matched.any():
                return {}
            positives = key[:, match.int().argmax(dim=1)]
            negative = self.queue.features.mean(dim=2)
            per_iter = key.size(1) * get_world_size()
            return dict(
                std=relative_std(query),
                rank=effective_rank(query),
                max_rank=query.new_tensor([min(query.shape[1:])]),
                pos_sim=(query * positives).sum(-1)[:, matched].mean(dim=1),
                neg_sim=(query.mean(dim=1) * negative).sum(dim=1),
                queue_age=query.new_tensor([self.queue.length / per_iter]))

    def _prepare(self, query: list[Tensor], key: list[Tensor],
                 query_samples: list, key_samples: list) -> tuple:
        """Unit vectors of each level, and which query matches which key."""
        query = [F.normalize(full_precision(q), dim=1) for q in query]
        key = [F.normalize(full_precision(k), dim=1) for k in key]
        match = match_by_id(
            *flatten_ids([x.gt_instances.labels for x in query_samples]),
            *flatten_ids([x.gt_instances.labels for x in key_samples]))
        return query, key, match

    def _level_sums(self, query: Tensor, key: Tensor, match: Tensor,
                    level: int) -> tuple[Tensor, Tensor]:
        """Sums of loss and of top-1 hits over the matched regions."""
        matched = match.any(dim=1).to(query.dtype)
        # Without any key region the product below has nothing to index.
        positives = key[match.int().argmax(dim=1)] if len(key) else query
        positive = (query * positives).sum(dim=1) / self.temperature
        negative, largest = negatives_log_sum_exp(
            query, self.queue.features[level], self.temperature)
        loss = torch.logaddexp(positive, negative) - positive
        hits = (positive >= largest).to(query.dtype)
        return (loss * matched).sum(), (hits * matched).sum()
