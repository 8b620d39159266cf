# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Callable

import numpy as np
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement

from .unreadable import walk_datasets


class RedrawMixin:
    """Draw other samples in place of unusable ones, and count them.

    The class it is mixed into has a length and ``max_refetch``.

    Attributes:
        num_redrawn (int): Samples replaced because the pipeline returned
            None, counted by each worker process for itself.
    """

    num_redrawn = 0

    def first_usable(self, idx: int,
                     prepare: Callable[[int], dict | None]) -> dict:
        """Prepare a sample, or others drawn at random until one is usable.

        Args:
            idx (int): Index of the first sample to try.
            prepare (callable): Gives a sample, or None if it is unusable.

        Returns:
            dict: The sample. If it holds ``data_samples``, each has in its
            metainfo the number of samples given up for it, ``num_redrawn``
            (int), and the files first found unreadable since the last packed
            sample of this process, if any: ``unreadable``, a list of path
            and reason.

        Raises:
            RuntimeError: ``max_refetch`` draws in a row were of no use.
        """
        for num_redrawn in range(self.max_refetch + 1):
            sample = prepare(idx)
            if sample is not None:
                if 'data_samples' in sample:
                    self._note(sample['data_samples'], num_redrawn)
                return sample
            self.num_redrawn += 1
            # Powers of two: the first is seen, a million do not fill the log.
            if self.num_redrawn & (self.num_redrawn - 1) == 0:
                print_log(
                    f'{self.num_redrawn} samples have been drawn anew so far '
                    'because the pipeline found nothing usable in them.',
                    logger='current')
            idx = np.random.randint(len(self))
        raise RuntimeError(
            f'The pipeline returned None for {self.max_refetch + 1} samples '
            'in a row, expected a usable sample; check the transforms of '
            f'{type(self).__name__} (views with boxes need proposals that '
            'both of them show: look at the proposal file and its filter) '
            'or raise max_refetch.')

    def _note(self, data_samples, num_redrawn: int) -> None:
        """Write what happened into a data sample or those of several views.

        It is the way on which news reach the main process from any worker,
        forked or spawned.
        """
        if not isinstance(data_samples, dict):
            data_samples = dict(view=data_samples)
        packed = [
            data_sample for data_sample in data_samples.values()
            if isinstance(data_sample, BaseDataElement)
        ]
        if not packed:
            return
        metainfo: dict = dict(num_redrawn=num_redrawn)
        news = [
            item for dataset in walk_datasets(self)
            if hasattr(dataset, 'unreadable')
            for item in dataset.unreadable.take_news()
        ]
        if news:
            metainfo['unreadable'] = news
        for data_sample in packed:
            for key, value in metainfo.items():
                data_sample.set_field(value, key, field_type='metainfo')
