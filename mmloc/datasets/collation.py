# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence
from typing import Any

from mmengine.dataset import pseudo_collate

from mmloc.registry import FUNCTIONS
from mmloc.utils.flat_batch import FlatBatch


@FUNCTIONS.register_module()
def flat_collate(samples: Sequence[Any]) -> FlatBatch:
    """mmengine's ``pseudo_collate``, with all tensors in one buffer.

    Any data preprocessor can take the batch, as a mapping;
    :class:`.MultiViewDataPreprocessor` takes it to the device in one piece.

    Args:
        samples (Sequence[dict]): Of a dataset, with tensors on the CPU.

    Returns:
        FlatBatch: Reads as what ``pseudo_collate`` returns.

    Raises:
        TypeError: The samples are no dicts, or cannot be pickled.
        ValueError: A tensor is not dense on the CPU, or has a gradient.
        RuntimeError: There is no shared memory left for a worker's batch.
    """
    return FlatBatch.pack(pseudo_collate(samples))
