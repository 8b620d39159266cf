# Copyright (c) mmloc contributors. All rights reserved.
"""What a collated batch tells about its images."""
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from mmengine.structures import BaseDataElement

from mmloc.utils.flat_batch import FlatBatch


def data_samples_of(batch: Any,
                    field: str | None = None) -> list[BaseDataElement]:
    """Get the data samples of a batch, of all its views.

    Args:
        batch (Any): What a data loader gives. Of a mapping, ``data_samples``
            is a list, or a dict of one list by view.
        field (str, optional): What is looked for in them: a flat batch is not
            unpacked if none has it. Defaults to None, anything.

    Returns:
        list[BaseDataElement]: Empty if the batch has another form.
    """
    if (isinstance(batch, FlatBatch) and field is not None
            and not batch.opened and not batch.mentions(field)):
        return []
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    if isinstance(samples, dict):
        samples = chain.from_iterable(samples.values())
    return [x for x in samples or () if isinstance(x, BaseDataElement)]


def img_paths_of(batch: Any) -> list[str]:
    """Get the files that a batch was made of.

    Args:
        batch (Any): What a data loader gives.

    Returns:
        list[str]: Each file once, in the order of the samples.
    """
    paths = (x.get('img_path') for x in data_samples_of(batch))
    return list(dict.fromkeys(path for path in paths if path is not None))


def broken_img_paths_of(batch: Any) -> list[str]:
    """Get the files whose pixels or boxes are not finite.

    Args:
        batch (Any): What a data loader gives. ``inputs`` is a list of
            tensors (3, H, W), or a dict of one list by view.

    Returns:
        list[str]: Each file once.
    """
    broken = {
        sample.get('img_path')
        for tensor, sample in _tensors_of(batch)
        if tensor.is_floating_point() and not tensor.isfinite().all()
    }
    return [path for path in img_paths_of(batch) if path in broken]


def _tensors_of(
        batch: Any) -> Iterator[tuple[torch.Tensor, BaseDataElement]]:
    """Pair the tensors of a batch with their samples."""
    samples = data_samples_of(batch)
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else ()
    if isinstance(inputs, dict):
        inputs = chain.from_iterable(inputs.values())
    yield from zip(inputs, samples)
    for sample in samples:
        for value in getattr(sample, 'gt_instances', {}).values():
            if isinstance(value, torch.Tensor):
                yield value, sample
