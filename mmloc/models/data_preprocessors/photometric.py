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

from mmloc import photometric, resampling
from mmloc.photometric import batched as batched_photometric
from mmloc.registry import MODELS
from mmloc.resampling import batched as batched_resampling
from mmloc.resampling import size_after
from mmloc.utils.flat_batch import OwnBatch


class _WholeBatch(ImgDataPreprocessor):
    """mmengine's steps on a batch of one size, not image by image.

    Nor does it wait for the device: mmengine reverses the channels by a list
    of indices, which a GPU has to be sent first.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        images, samples = data['inputs'], data.get('data_samples')
        vectors = _vectors_of(samples)
        plans = _plans_of(data)
        sizes = {size_after(*pair) for pair in zip(images, plans)}
        if len(sizes) > 1:
            if vectors is None and not any(plans):
                return super().forward(data, training)
            raise ValueError(
                f'The images of a view have the sizes {sorted(sizes)}, '
                'expected one; resize them to one size, or leave out '
                'DeferPhotometric.')
        images = self.cast_data(images)
        if vectors is not None:
            flips = [sample.get('flip', False) for sample in samples]
            vectors = photometric.stack(vectors, *sizes, flips)
        images = augment(images, plans, vectors)
        images = self._normalize(images)
        bottom, right = (-side % self.pad_size_divisor
                         for side in images.shape[2:])
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom), value=self.pad_value)
        if not isinstance(data, OwnBatch):
            samples = self.cast_data(samples)
        for sample in samples or ():
            # Done, so that it is neither done again nor taken for undone.
            for key in (photometric.KEY, resampling.KEY):
                if key in sample:
                    delattr(sample, key)
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
    """mmdet's data preprocessor that also makes views, if the loader did not.

    If the loader only draws what becomes of an image
    (:class:`.DeferPhotometric`), that is carried out here, on the device and
    for a whole batch: crop, resize and flip, then colours, blur and cutout.
    On the CPU this is done by the functions that the loader itself calls, so
    with equal results, on other devices by operations on the batch. Samples
    of which nothing is left to do are normalised as by mmdet, to the same
    numbers; a batch may hold images that are cut out and others that are
    not.

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

    def _get_pad_shape(self, data: dict) -> list[tuple[int, int]]:
        """Height and width of each image after padding."""
        return [
            tuple(side + -side % self.pad_size_divisor
                  for side in size_after(image, plan))
            for image, plan in zip(data['inputs'], _plans_of(data))
        ]


def augment(images: Sequence[Tensor], plans: Sequence[tuple | None],
            vectors: np.ndarray | None) -> Tensor:
    """Carry out what was noted, by what is fastest on the device.

    Args:
        images (Sequence[Tensor]): N images, (3, H, W), BGR, whole numbers
            from 0 to 255.
        plans (Sequence[tuple | None]): What to cut out of each, see
            :func:`mmloc.resampling.carry_out`; of one size.
        vectors (np.ndarray, optional): float32 (N, P), see
            :func:`mmloc.photometric.unchanged`; None for no changes.

    Returns:
        Tensor: (N, 3, H, W), whole numbers from 0 to 255; uint8 where bytes
        were given on the CPU, otherwise float32.
    """
    if (vectors is not None or any(plans)) and all(
            image.is_cpu and image.dtype == torch.uint8 for image in images):
        return _by_image(images, plans, vectors)
    images = _made(images, plans)
    if vectors is None:
        return images
    return batched_photometric.augment(images, vectors)


def _by_image(images: Sequence[Tensor], plans: Sequence[tuple | None],
              vectors: np.ndarray | None) -> Tensor:
    """Call the functions of the loader."""
    size = size_after(images[0], plans[0])
    out = torch.empty((len(images), 3, *size), dtype=torch.uint8)
    vectors = [None] * len(images) if vectors is None else vectors
    for image, plan, vector, target in zip(images, plans, vectors,
                                           out.numpy()):
        pixels = image.permute(1, 2, 0).numpy()
        if not pixels.flags.c_contiguous:
            pixels = cv2.merge(list(image.numpy()))
        pixels = resampling.carry_out(pixels, plan)
        if vector is not None:
            pixels = photometric.apply(pixels, vector)
        cv2.split(pixels, list(target))
    return out


def _made(images: Sequence[Tensor], plans: Sequence[tuple | None]) -> Tensor:
    """Make the views of a batch, (N, 3, H, W)."""
    if not any(plans):
        return images if isinstance(images, Tensor) else torch.stack(images)
    if images[0].is_cpu:
        # Floats: somebody has changed the packed images.
        views = (
            resampling.carry_out(image.permute(1, 2, 0).numpy(), plan)
            for image, plan in zip(images, plans))
        return torch.stack([torch.from_numpy(x).permute(2, 0, 1)
                            for x in views])
    return batched_resampling.resample(images, plans)


def _plans_of(data: dict) -> list[tuple | None]:
    """What is to be cut out of each image of a batch."""
    samples = data.get('data_samples') or [{}] * len(data['inputs'])
    return [sample.get(resampling.KEY) for sample in samples]


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
