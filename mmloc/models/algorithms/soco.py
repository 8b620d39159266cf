# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from torch import Tensor

from mmloc.registry import MODELS

from .base import MomentumRegionLearner


@MODELS.register_module()
class SoCo(MomentumRegionLearner):
    """Selective Object COntrastive learning.

    Implementation of `Aligning Pretraining for Detection via Object-Level
    Contrastive Learning (NeurIPS 2021) <https://arxiv.org/abs/2106.02637>`_.
    The same object proposals are embedded in several views of an image; the
    online network predicts the target network's projection of each in the
    other view of a pair, in both directions.

    Batches are dicts of views. Each pair of views has its own list of K boxes
    per image in each of its two views. ``gt_instances`` of a view holds the
    lists of all pairs that the view takes part in, one after the other in the
    order of ``pairs`` and of equal length: ``bboxes``, xyxy in pixels of the
    view, and ``labels``, the ids of the proposals. ``SelectMatches`` notes
    these pairs as ``view_pairs`` in the metainfo, which is compared with
    ``pairs``.

    Args:
        *args: See :class:`MomentumRegionLearner`.
        predictor (dict): Config of the module that maps projections to
            predictions, (R, C) to (R, C). The target network has none.
        pairs (Sequence[Tuple[str, str]]): The pairs of views in the loss.
        **kwargs: See :class:`MomentumRegionLearner`.

    Raises:
        ValueError: If a pair does not name two different views, or pairs are
            given twice.
    """

    def __init__(self, *args, predictor: dict,
                 pairs: Sequence[tuple[str, str]], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.predictor = MODELS.build(predictor)
        self.pairs = [tuple(pair) for pair in pairs]
        unique = {frozenset(pair) for pair in self.pairs}
        if (not unique or len(unique) < len(self.pairs)
                or any(len(pair) != 2 for pair in unique)):
            raise ValueError(
                f'pairs is {pairs}, expected one or more different pairs of '
                "two different views, such as ('view1', 'view2').")
        self.views = list(dict.fromkeys(sum(self.pairs, ())))

    def loss(self, inputs: dict[str, Tensor],
             data_samples: dict[str, list]) -> dict[str, Tensor]:
        """Predict the target's projection of each object across views.

        Args:
            inputs (Dict[str, Tensor]): The views, each (N, 3, H, W).
            data_samples (Dict[str, List[DetDataSample]]): N samples of each
                view.

        Returns:
            Dict[str, Tensor]: ``loss_<a>_to_<b>`` for both directions of
            each pair, see :class:`SoCoHead`, and ``redrawn``, the mean number
            of samples that the loader refused before one was accepted.
        """
        regions = {
            view: self.region_lists(view, data_samples[view])
            for view in self.views
        }
        predictions = self.encode_views(self, inputs, regions)
        predictions = dict(
            zip(predictions,
                self.map_parts(self.predictor, predictions.values())))
        with torch.no_grad():
            self.target.update_parameters(self.online)
            projections = self.encode_views(self.target.module, inputs,
                                            regions)
        losses = {}
        for pair in self.pairs:
            for a, b in (pair, pair[::-1]):
                losses[f'loss_{a}_to_{b}'] = self.head.loss(
                    predictions[a, pair], projections[b, pair],
                    regions[a][pair], regions[b][pair])
        losses['redrawn'] = self.mean_redrawn(data_samples)
        return losses

    def encode_views(self, net, inputs: dict[str, Tensor],
                     regions: dict) -> dict[tuple, list[Tensor]]:
        """Embed the box lists of all views.

        Each view passes backbone and neck once; each of its box lists passes
        RoI head and projector on its own.

        Args:
            net (nn.Module): ``self`` or ``self.target.module``.
            inputs (Dict[str, Tensor]): The views, each (N, 3, H, W).
            regions (Dict[str, dict]): :meth:`region_lists` of each view.

        Returns:
            Dict[tuple, List[Tensor]]: Keyed by (view, pair), the output of
            :meth:`encode` for that box list.
        """
        views = [(inputs[view],
                  [[boxes] * self.num_levels for boxes, _ in lists.values()])
                 for view, lists in regions.items()]
        return {
            (view, pair): levels
            for (view, lists), embedded in zip(regions.items(),
                                               self.encode(net, views))
            for pair, levels in zip(lists, embedded)
        }

    def region_lists(self, view: str, samples: list) -> dict[tuple, tuple]:
        """Boxes and ids of a view for each pair that it takes part in.

        Args:
            view (str): Name of the view.
            samples (List[DetDataSample]): N samples of the view.

        Returns:
            Dict[tuple, tuple]: For each pair N tensors of boxes (K, 4) and N
            tensors of ids (K, ).
        """
        pairs = [pair for pair in self.pairs if view in pair]
        for sample in samples:
            given = [tuple(x) for x in sample.get('view_pairs', pairs)]
            if given != pairs or len(sample.gt_instances) % len(pairs):
                raise ValueError(
                    f'{view} of {sample.get("img_path", "a sample")} has '
                    f'{len(sample.gt_instances)} boxes for the pairs {given}, '
                    f'expected lists of equal length for {pairs}; the pairs '
                    'of SelectMatches must be those of the model.')
        boxes, ids = (
            [getattr(x.gt_instances, field).chunk(len(pairs)) for x in samples]
            for field in ('bboxes', 'labels'))
        return {
            pair: ([x[i] for x in boxes], [x[i] for x in ids])
            for i, pair in enumerate(pairs)
        }

    def mean_redrawn(self, data_samples: dict[str, list]) -> Tensor:
        """Mean of ``num_redrawn`` of the samples, 0 where they lack it."""
        counts = [
            sample.get('num_redrawn', 0)
            for sample in data_samples[self.views[0]]
        ]
        return torch.tensor(float(sum(counts)) / max(len(counts), 1))
