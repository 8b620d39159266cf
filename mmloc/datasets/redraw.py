# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Callable

import numpy as np
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement


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
            dict: The sample. If it holds ``data_samples``, each has the
            number of samples given up for it in its metainfo,
            ``num_redrawn`` (int).

        Raises:
            RuntimeError: ``max_refetch`` draws in a row were of no use.
        """
        for num_redrawn in range(self.max_refetch + 1):
            sample = prepare(idx)
            if sample is not None:
                _note(sample.get('data_samples'), num_redrawn)
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


def _note(data_samples, num_redrawn: int) -> None:
    """Write the number into one data sample or those of several views."""
    if not isinstance(data_samples, dict):
        data_samples = dict(view=data_samples)
    for data_sample in data_samples.values():
        if isinstance(data_sample, BaseDataElement):
            data_sample.set_metainfo(dict(num_redrawn=num_redrawn))
