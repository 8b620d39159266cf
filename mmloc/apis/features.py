# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from mmloc.datasets import LoadImage
from mmloc.models.probes import box_features

#: A path, or pixels: (H, W, 3), uint8, BGR.
Image = str | np.ndarray


@dataclass
class BoxSimilarity:
    """How much the places of an image look like a box to a network.

    Args:
        values (np.ndarray): (rows, columns), float32, from -1 to 1: the
            cosine for the box around the middle of each cell of a grid.
        box (np.ndarray): (4, ), xyxy in pixels: the box with the highest.
        score (float): Its cosine.
    """
    values: np.ndarray
    box: np.ndarray
    score: float


def read_image(image: Image) -> np.ndarray:
    """Read an image, turned upright.

    Args:
        image (str | np.ndarray): A path, or pixels.

    Returns:
        np.ndarray: (H, W, 3), uint8, BGR.

    Raises:
        UnreadableImageError: The file is missing or cannot be decoded.
        TypeError: The pixels are not uint8 of three channels.
    """
    if not isinstance(image, np.ndarray):
        return LoadImage()(dict(img_path=str(image)))['img']
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise TypeError(f'the image is {image.dtype} of shape {image.shape}, '
                        'expected uint8 of shape (H, W, 3), BGR')
    return image


def extract_box_features(model: nn.Module,
                         images: Image | Sequence[Image],
                         boxes: Sequence,
                         source: str = 'c5',
                         side: int | None = None) -> Tensor:
    """Describe boxes of images by vectors.

    Args:
        model (nn.Module): Of :func:`init_network`.
        images (str | np.ndarray | Sequence): One image, or several: paths,
            or pixels (H, W, 3), uint8, BGR.
        boxes (Sequence): (K, 4), xyxy in pixels of the image; for several
            images one such array each.
        source (str): Where in the network they are read: a map of the
            backbone ('c2' to 'c5') or the neck ('p2' to 'p7'), what the RoI
            head shows to its classifier ('head'), what a pretraining
            compares ('embedding'), or 'pixels'. Defaults to 'c5'.
        side (int, optional): Pixels to which the longer side of each image
            is scaled first. Defaults to None, for images as they are.

    Returns:
        Tensor: (R, C) of all boxes, image by image, on the CPU.

    Raises:
        ValueError: There is no such source, or boxes do not fit images.
    """
    if isinstance(images, str | np.ndarray):
        images, boxes = [images], [boxes]
    if len(images) != len(boxes):
        raise ValueError(f'{len(boxes)} arrays of boxes are given for '
                         f'{len(images)} images, expected one for each')
    vectors = [
        _describe(model, read_image(image), own, source, side)
        for image, own in zip(images, boxes)
    ]
    return torch.cat(vectors)


def box_similarity(model: nn.Module,
                   image: Image,
                   box: Sequence[float],
                   other: Image,
                   source: str = 'c5',
                   side: int | None = None,
                   steps: int = 32) -> BoxSimilarity:
    """Compare a box of an image with boxes all over another image.

    These have the size of the first, measured after both images have been
    scaled, and are cut at the rim of the image.

    Args:
        model (nn.Module): Of :func:`init_network`.
        image (str | np.ndarray): The image with the box.
        box (Sequence[float]): xyxy in its pixels.
        other (str | np.ndarray): The image that is searched.
        source (str): See :func:`extract_box_features`. Defaults to 'c5'.
        side (int, optional): See there. Defaults to None.
        steps (int): Cells along the longer side of the grid.
            Defaults to 32.

    Returns:
        BoxSimilarity: The similarities and the best box.

    Raises:
        ValueError: There is no such source, or the box is not in the image.
    """
    image, other = read_image(image), read_image(other)
    box = np.asarray(box, float).reshape(1, 4)
    size = (box[0, 2:] - box[0, :2]) * _factor(image, side) / _factor(
        other, side)
    boxes, shape = _grid(other.shape[:2], size, steps)
    wanted = _describe(model, image, box, source, side)
    found = torch.cat([
        _describe(model, other, part, source, side)
        # All at once would take gigabytes behind a C4 head.
        for part in np.split(boxes, range(256, len(boxes), 256))
    ])
    values = torch.cosine_similarity(found, wanted).numpy()
    best = int(values.argmax())
    return BoxSimilarity(
        values.reshape(shape), boxes[best], float(values[best]))


def _factor(image: np.ndarray, side: int | None) -> float:
    return 1 if side is None else side / max(image.shape[:2])


def _grid(img_shape: tuple[int, int], size: np.ndarray,
          steps: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Boxes around the middle of each cell, row by row, and their grid."""
    shape = tuple(
        max(1, round(steps * n / max(img_shape))) for n in img_shape)
    y, x = ((np.arange(num) + 0.5) * n / num
            for num, n in zip(shape, img_shape))
    centers = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([centers - size / 2, centers + size / 2], axis=1)
    height, width = img_shape
    return np.clip(boxes, 0, [width, height, width, height]), shape


@torch.no_grad()
def _describe(model: nn.Module, image: np.ndarray, boxes, source: str,
              side: int | None) -> Tensor:
    """Vectors of boxes of an image of any size, (K, C), on the CPU."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    height, width = image.shape[:2]
    inside = np.clip(boxes, 0, [width, height, width, height])
    if not (inside[:, :2] < inside[:, 2:]).all():
        raise ValueError(
            f'a box of {boxes.tolist()} has no area in the image of {width} x '
            f'{height} pixels; boxes are x1, y1, x2, y2 with x1 < x2, y1 < y2')
    factor = _factor(image, side)
    size = [max(1, round(n * factor)) for n in (width, height)]
    if side is not None:
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    # Views of a pretraining are normalised by a detector's preprocessor.
    preprocess = model.data_preprocessor
    preprocess = getattr(preprocess, 'data_preprocessor', preprocess)
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())
    x = preprocess(dict(inputs=[pixels], data_samples=None), False)['inputs']
    scale = np.array(size * 2) / np.array([width, height] * 2)
    own = torch.from_numpy((inside * scale).astype(np.float32)).to(x.device)
    return box_features(model, x, [own], [source])[source].float().cpu()
