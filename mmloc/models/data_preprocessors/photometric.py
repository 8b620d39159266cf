# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from mmloc import photometric
from mmloc.photometric import batched
from mmloc.registry import MODELS
from mmloc.utils.flat_batch import OwnBatch


class _WholeBatch(ImgDataPreprocessor):
    """mmengine's steps on a batch of one size, not image by image.

    Nor does it wait for the device: mmengine reverses the channels by a list
    of indices, which a GPU has to be sent first.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        images, samples = data['inputs'], data.get('data_samples')
        vectors = _vectors_of(samples)
        if len({image.shape for image in images}) > 1:
            if vectors is None:
                return super().forward(data, training)
            raise ValueError(
                'The images of a view have the sizes '
                f'{sorted({tuple(x.shape[1:]) for x in images})}, expected '
                'one; resize them to one size, or leave out '
                'DeferPhotometric.')
        images = self.cast_data(images)
        images = images if isinstance(images, Tensor) else torch.stack(images)
        if vectors is not None:
            flips = [sample.get('flip', False) for sample in samples]
            images = augment(
                images, photometric.stack(vectors, images.shape[2:], flips))
        images = self._normalize(images)
        bottom, right = (-side % self.pad_size_divisor
                         for side in images.shape[2:])
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom), value=self.pad_value)
        if not isinstance(data, OwnBatch):
            samples = self.cast_data(samples)
        for sample in samples if vectors is not None else ():
            # Done, so that it is neither done again nor taken for undone.
            delattr(sample, photometric.KEY)
        return dict(data, inputs=images, data_samples=samples)

    def _normalize(self, images: Tensor) -> Tensor:
        """Make float32 of them; on the CPU one by one, in its cache."""
        size = 1 if images.device.type == 'cpu' else len(images)
        out = torch.empty(images.shape, device=images.device)
        for part, target in zip(images.split(size), out.split(size)):
            target.copy_(part.flip(1) if self._channel_conversion else part)
            if self._enable_normalize:
                target.sub_(self.mean).div_(self.std)
        return out


@MODELS.register_module()
class PhotometricDataPreprocessor(DetDataPreprocessor, _WholeBatch):
    """mmdet's data preprocessor that also changes colours, blurs and cuts.

    If the loader only draws these changes (:class:`.DeferPhotometric`), they
    are carried out here, on the device and for a whole batch: on the CPU by
    the functions that the loader itself calls, so with equal results, on
    other devices by operations on the batch. Samples without such draws are
    normalised as by mmdet, to the same numbers.

    Args:
        non_blocking (bool): Whether the program goes on while pinned images
            are copied. Defaults to True, unlike mmdet: on a GPU everything
            after the copy waits for it anyway.
        **kwargs: Of mmdet's ``DetDataPreprocessor``.

    Raises:
        ValueError: The images to be changed are not of one size, only some
            of them have draws, or the order of the pipeline does not allow to
            put these off.
    """

    def __init__(self, *args, non_blocking: bool = True, **kwargs) -> None:
        super().__init__(*args, non_blocking=non_blocking, **kwargs)


def augment(images: Tensor, vectors: np.ndarray) -> Tensor:
    """Carry out drawn changes by what is fastest on the device.

    Args:
        images (Tensor): (N, 3, H, W), BGR, whole numbers from 0 to 255.
        vectors (np.ndarray): float32 (N, P), see
            :func:`mmloc.photometric.unchanged`.

    Returns:
        Tensor: (N, 3, H, W), whole numbers from 0 to 255; uint8 where bytes
        were given on the CPU, otherwise float32.
    """
    if images.device.type != 'cpu' or images.dtype != torch.uint8:
        return batched.augment(images, vectors)
    out = torch.empty_like(images)
    for image, vector, target in zip(images.numpy(), vectors, out.numpy()):
        changed = photometric.apply(cv2.merge(list(image)), vector)
        for channel, plane in enumerate(target):
            cv2.extractChannel(changed, channel, dst=plane)
    return out


def _vectors_of(
        samples: Sequence[DetDataSample] | None) -> list[np.ndarray] | None:
    """The drawn changes of a batch, None if there are none."""
    vectors = [sample.get(photometric.KEY) for sample in samples or ()]
    missing = sum(vector is None for vector in vectors)
    if missing == len(vectors):
        return None
    if missing:
        raise ValueError(
            f'{missing} of {len(vectors)} images have no drawn changes of '
            'colours, expected all or none; put DeferPhotometric into the '
            'pipelines of all data sets or of none.')
    return vectors
