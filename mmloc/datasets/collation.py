# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence
from typing import Any

from mmengine.dataset import pseudo_collate

from mmloc.registry import FUNCTIONS
from mmloc.utils.flat_batch import FlatBatch


@FUNCTIONS.register_module()
def flat_collate(samples: Sequence[Any],
                 _scope_: str | None = None) -> FlatBatch:
    """mmengine's ``pseudo_collate``, with all tensors in one buffer.

    Data preprocessors of mmengine and mmdet take the batch as the mapping that
    it is; :class:`.MultiViewDataPreprocessor` takes it to the device in one
    piece. mmpretrain's ``SelfSupDataPreprocessor`` refuses what is no dict.

    Args:
        samples (Sequence[dict]): Of a dataset, with tensors on the CPU.
        _scope_ (str, optional): Not used. MMEngine writes it into each dict
            with a type that a config of another project inherits, and hands
            the rest of this one to the function. Defaults to None.

    Returns:
        FlatBatch: Reads as what ``pseudo_collate`` returns.

    Raises:
        TypeError: The samples are no dicts, or cannot be pickled.
        ValueError: A tensor is not dense on the CPU, or has a gradient; or
            the samples have other keys than the first one.
        RuntimeError: There is no shared memory left for a worker's batch.
    """
    try:
        batch = pseudo_collate(samples)
    except KeyError as error:
        raise ValueError(
            f'A sample of a batch lacks the key {error}, which the first one '
            'has; let the pipelines of all data sets end with the same '
            'transform that packs.') from error
    return FlatBatch.pack(batch)
