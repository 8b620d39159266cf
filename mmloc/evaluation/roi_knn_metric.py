# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import torch
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torch.nn.functional import normalize

from mmloc.registry import METRICS


def vote(queries: Tensor,
         bank: Tensor,
         labels: Tensor,
         num_classes: int,
         k: int = 20,
         temperature: float = 0.07,
         chunk: int = 512) -> Tensor:
    """Classify vectors by those of a bank that are most like them.

    The k nearest by cosine s vote for their class with the weight
    ``exp(s / temperature)`` (Wu et al., CVPR 2018, Sec. 3.4).

    Args:
        queries (Tensor): (Q, C), of any length.
        bank (Tensor): (B, C), of any length.
        labels (Tensor): (B, ), classes of the bank.
        num_classes (int): Number of classes.
        k (int): Neighbours that vote, all if the bank has fewer.
            Defaults to 20.
        temperature (float): Defaults to 0.07.
        chunk (int): Queries compared at once. Defaults to 512.

    Returns:
        Tensor: (Q, ), the class with the most votes.
    """
    bank = normalize(bank)
    winners = []
    for part in normalize(queries).split(chunk):
        similar, places = (part @ bank.T).topk(min(k, len(bank)), dim=1)
        votes = part.new_zeros(len(part), num_classes)
        # Less than 1, so that small temperatures do not overflow.
        weights = ((similar - similar[:, :1]) / temperature).exp()
        votes.scatter_add_(1, labels[places], weights)
        winners.append(votes.argmax(dim=1))
    return torch.cat(winners)


@METRICS.register_module()
class RoIKNNMetric(BaseMetric):
    """Classify the true boxes of one split by those of another.

    Samples carry ``split`` in their metainfo, 'bank' or 'query', and in
    ``pred_instances`` the labels and, for each source, vectors of the boxes
    (:class:`~mmloc.models.BoxFeatureExtractor`). Reported in per cent, for
    each source: ``{source}_top1``, the share of query boxes whose class is
    found, and ``{source}_class_mean``, its mean over the classes that occur;
    and ``majority_top1``, for always naming the bank's most frequent class.

    Args:
        k (int): See :func:`vote`. Defaults to 20.
        temperature (float): See :func:`vote`. Defaults to 0.07.
        collect_device (str): As of mmengine's metrics. Defaults to 'cpu'.
        prefix (str, optional): Defaults to None, for 'roi_knn'.

    Raises:
        ValueError: ``k`` or ``temperature`` is not above 0.
    """

    default_prefix = 'roi_knn'

    def __init__(self,
                 k: int = 20,
                 temperature: float = 0.07,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if k < 1 or temperature <= 0:
            raise ValueError(f'k is {k} and temperature {temperature}, '
                             'expected numbers above 0')
        self.k = k
        self.temperature = temperature

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep labels and vectors, one entry for each image.

        Args:
            data_batch (dict): Not needed.
            data_samples (Sequence[dict]): Of the model.

        Raises:
            ValueError: A sample is of no split.
        """
        for sample in data_samples:
            if sample.get('split') not in ('bank', 'query'):
                raise ValueError(
                    f'{sample.get("img_path", "a sample")} has the split '
                    f"{sample.get('split')!r}, expected 'bank' or 'query'; "
                    'set it by mmloc.SetKeys and pack it by meta_keys')
            # Half the size: a large bank has to be sent between processes.
            fields = {
                name: value.cpu() if name == 'labels' else value.cpu().half()
                for name, value in sample['pred_instances'].items()
            }
            self.results.append((sample['split'], fields))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Let the bank vote.

        Args:
            results (list): Of :meth:`process`, from all processes.

        Returns:
            dict[str, float]: In per cent.

        Raises:
            ValueError: One of the two splits has no box.
        """
        bank, queries = (_gather(results, name) for name in ('bank', 'query'))
        truth, known = queries.pop('labels'), bank.pop('labels')
        num_classes = int(max(truth.max(), known.max())) + 1
        majority = known.bincount().argmax()
        metrics = {'majority_top1': _percent(truth == majority)}
        device = get_device()
        for source, vectors in queries.items():
            found = vote(
                vectors.float().to(device), bank[source].float().to(device),
                known.to(device), num_classes, self.k, self.temperature)
            right = found.cpu() == truth
            metrics[f'{source}_top1'] = _percent(right)
            classes = [_percent(right[truth == label])
                       for label in truth.unique()]
            metrics[f'{source}_class_mean'] = sum(classes) / len(classes)
        return metrics


def _gather(results: list, split: str) -> dict[str, Tensor]:
    """Join the images of a split that have boxes."""
    images = [fields for name, fields in results
              if name == split and len(fields['labels'])]
    if not images:
        raise ValueError(
            f'no image of the split {split!r} has a box, expected some; '
            'check ann_file of the data set with this split')
    return {
        name: torch.cat([fields[name] for fields in images])
        for name in images[0]
    }


def _percent(right: Tensor) -> float:
    return 100 * right.float().mean().item()
