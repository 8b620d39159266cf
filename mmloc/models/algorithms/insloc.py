# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from torch import Tensor

from mmloc.models.utils import SampleShuffle
from mmloc.registry import MODELS

from .base import MomentumRegionLearner


@MODELS.register_module()
class InsLoc(MomentumRegionLearner):
    """Instance Localization for Self-supervised Detection Pretraining.

    Implementation of `InsLoc (CVPR 2021)
    <https://arxiv.org/abs/2102.08318>`_. Crops of one image are pasted onto
    two backgrounds; the features pooled at the pasted boxes must agree.
    Batches are dicts with the views ``query`` and ``key``. Each sample has
    ``gt_instances`` with ``bboxes`` (K, 4), xyxy in pixels, ``labels`` (K, ),
    the instance ids, and for the query on ``augmented_levels`` also
    ``aug_bboxes`` (K, 4).

    Args:
        augmented_levels (Sequence[int]): Indices of the levels on which the
            query is pooled at the augmented box rather than at the pasted
            one (Sec. 3.3). The published configuration uses P5 only. Empty
            for no box augmentation. Defaults to (3, ).
        stack_levels (bool): See the base class. Defaults to True.
        **kwargs: See :class:`MomentumRegionLearner`.
    """

    def __init__(self,
                 *args,
                 augmented_levels: Sequence[int] = (3, ),
                 stack_levels: bool = True,
                 **kwargs) -> None:
        super().__init__(*args, stack_levels=stack_levels, **kwargs)
        self.augmented_levels = tuple(augmented_levels)
        if not set(self.augmented_levels) <= set(range(self.num_levels)):
            raise ValueError(
                f'augmented_levels is {self.augmented_levels}, but the RoI '
                f'extractor has the levels 0 to {self.num_levels - 1}.')

    def loss(self, inputs: dict[str, Tensor],
             data_samples: dict[str, list]) -> dict[str, Tensor]:
        """Contrast the pasted instances of the two composites.

        Args:
            inputs (Dict[str, Tensor]): The views ``query`` and ``key``, each
                (N, 3, H, W).
            data_samples (Dict[str, List[DetDataSample]]): N samples of each
                view.

        Returns:
            Dict[str, Tensor]: Losses and accuracies, see
            :class:`InsLocHead`.
        """
        boxes = self.query_boxes(data_samples['query'])
        (query, ), = self.encode(self, [(inputs['query'], [boxes])])
        with torch.no_grad():
            self.target.update_parameters(self.online)
            key = self.encode_key(inputs['key'], data_samples['key'])
        return self.head.loss(query, key, data_samples['query'],
                              data_samples['key'])

    def query_boxes(self, samples: list) -> list[list[Tensor]]:
        """Boxes of the query on each level, L lists of N (K, 4) tensors."""
        pasted = [sample.gt_instances.bboxes for sample in samples]
        boxes = [pasted] * self.num_levels
        if self.augmented_levels:
            augmented = [sample.gt_instances.aug_bboxes for sample in samples]
        for level in self.augmented_levels:
            boxes[level] = augmented
        return boxes

    def encode_key(self, x: Tensor, samples: list) -> list[Tensor]:
        """Embed the key regions, with samples shuffled over BatchNorm batches.

        Args:
            x (Tensor): The key view, shape (N, 3, H, W).
            samples (List[DetDataSample]): N samples.

        Returns:
            List[Tensor]: L tensors of shape (R, C), in the order of
            ``samples``.
        """
        shuffle = SampleShuffle(len(x), x.device, within=self.bn_splits > 1)
        boxes = [sample.gt_instances.bboxes for sample in samples]
        x, _ = shuffle.shuffle(x)
        boxes, counts = shuffle.shuffle(
            torch.cat(boxes), [len(box) for box in boxes])
        boxes = [boxes.split(counts)] * self.num_levels
        (key, ), = self.encode(self.target.module, [(x, [boxes])])
        key, _ = shuffle.unshuffle(torch.stack(key, dim=1), counts)
        return list(key.unbind(dim=1))
