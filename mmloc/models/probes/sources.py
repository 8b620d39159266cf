# Copyright (c) mmloc contributors. All rights reserved.
"""Where in a network the features of a box are read.

A network is anything with the attributes of mmdet's detectors: ``backbone``
and perhaps ``neck`` and ``roi_head``. A source is named by a word:

- ``c2`` to ``c5``: a map of the backbone, by the logarithm of its stride;
- ``p2`` to ``p7``: a map of the neck, in the same way;
- ``head``: what the RoI head shows to its classifier;
- ``embedding``: what pretraining compares, behind its projector;
- ``pixels``: the normalised image itself.
"""
import math
from collections.abc import Sequence

import torch
from mmcv.ops import roi_align
from mmdet.structures.bbox import bbox2roi
from torch import Tensor, nn

#: Sources that are vectors of regions; all others are maps.
REGION_SOURCES = ('head', 'embedding')


def feature_maps(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Compute every map of a network.

    Args:
        model (nn.Module): With a ``backbone`` and perhaps a ``neck``.
        x (Tensor): Normalised images, (N, 3, H, W).

    Returns:
        Dict[str, Tensor]: Source -> (N, C, H / stride, W / stride). Of two
        maps of one stride, as dilated backbones have them, the deeper one.
    """
    stages = model.backbone(x)
    maps = {'pixels': x} | _named('c', x, stages)
    if getattr(model, 'neck', None) is not None:
        maps |= _named('p', x, model.neck(stages))
    return maps


def stride_of(source: str) -> int:
    """Tell how many pixels apart the places of a map are.

    Args:
        source (str): Name of the map.

    Returns:
        int: A power of two.
    """
    return 1 if source == 'pixels' else 2**int(source[1:])


def _named(letter: str, x: Tensor,
           maps: Sequence[Tensor]) -> dict[str, Tensor]:
    """Name maps by their strides, the finest first.

    Sides are rounded up, and of a small image the map of stride 16 may be as
    large as that of 32: then it is the double of the stride before.
    """
    named, level = {}, 0
    sides = x.shape[-2:]
    for item in maps:
        fitting = [
            n for n in (level + 1, level, *range(level + 2, 10))
            if tuple(-(-side // 2**n) for side in sides) == item.shape[-2:]
        ]
        ratio = max(sides) / max(item.shape[-2:])
        level = fitting[0] if fitting else round(math.log2(ratio))
        named[f'{letter}{level}'] = item
    return named


def pool_boxes(maps: dict[str, Tensor], source: str, boxes: Sequence[Tensor],
               output_size: int = 7) -> Tensor:
    """Pool boxes from a map, as detectors do (RoIAlign).

    Args:
        maps (Dict[str, Tensor]): :func:`feature_maps` of N images.
        source (str): Name of the map.
        boxes (Sequence[Tensor]): N tensors (K, 4), xyxy in pixels.
        output_size (int): Cells S of a side. Defaults to 7.

    Returns:
        Tensor: (R, C, S, S) of all boxes, image by image.
    """
    feature_map = maps[source]
    rois = bbox2roi(boxes).to(feature_map)
    if len(rois) == 0:  # mmcv's CUDA kernel cannot be launched on nothing
        return feature_map.new_zeros(0, feature_map.shape[1], output_size,
                                     output_size)
    return roi_align(feature_map, rois, (output_size, ) * 2,
                     1 / stride_of(source), 0, 'avg', True)


def box_features(model: nn.Module, x: Tensor, boxes: Sequence[Tensor],
                 sources: Sequence[str]) -> dict[str, Tensor]:
    """Describe boxes by vectors of one or several sources.

    Of a map it is the mean over the 7 x 7 cells of RoIAlign. A pretraining
    network embeds a box on each of L levels, and the vector is that of all
    levels, each divided by its length: the cosine of two such vectors is
    the mean of the L cosines that the loss compares.

    Args:
        model (nn.Module): The network.
        x (Tensor): Normalised images, (N, 3, H, W).
        boxes (Sequence[Tensor]): N tensors (K, 4), xyxy in pixels of ``x``.
        sources (Sequence[str]): Names, see the head of the module.

    Returns:
        Dict[str, Tensor]: Source -> (R, C) of all boxes, image by image.

    Raises:
        ValueError: The network has no such source.
    """
    maps = feature_maps(model, x)
    known = [*maps, *_region_sources(model)]
    vectors = {}
    for source in sources:
        if source not in known:
            raise ValueError(
                f'the network has no features {source!r}, expected one of '
                f'{", ".join(known)}')
        if source in REGION_SOURCES:
            vectors[source] = _encode(model, x, maps, boxes, source)
        else:
            pooled = pool_boxes(maps, source, boxes)
            vectors[source] = pooled.mean(dim=(2, 3))
    return vectors


def _region_sources(model: nn.Module) -> tuple[str, ...]:
    head = getattr(getattr(model, 'roi_head', None), 'bbox_head', None)
    if not hasattr(head, 'fc_cls'):
        return ()
    return REGION_SOURCES if hasattr(model, 'projector') else ('head', )


def _encode(model: nn.Module, x: Tensor, maps: dict[str, Tensor],
            boxes: Sequence[Tensor], source: str) -> Tensor:
    """Pass boxes through the RoI head, and the projector for 'embedding'."""
    letter = 'c' if getattr(model, 'neck', None) is None else 'p'
    feats = tuple(
        maps[name] for name in maps
        if name[0] == letter and name[1:].isdigit())
    roi_head = model.roi_head
    if hasattr(roi_head, 'extract'):  # a RegionEncoder
        levels = [boxes] * roi_head.bbox_roi_extractor.num_inputs
        regions, = roi_head.extract(feats, [levels], x.shape[-2:])
        vectors = [roi_head(region) for region in regions]
    else:
        vectors = [_classifier_input(roi_head, feats, bbox2roi(boxes))]
    if source == 'embedding':
        vectors = [model.projector(vector) for vector in vectors]
    if len(vectors) > 1:
        vectors = [nn.functional.normalize(vector) for vector in vectors]
    return torch.cat(vectors, dim=1)


def _classifier_input(roi_head: nn.Module, feats: tuple[Tensor, ...],
                      rois: Tensor) -> Tensor:
    """What the RoI head of a detector shows to its classifier, whatever
    layers it has in front of it."""
    seen = []
    extractor = roi_head.bbox_roi_extractor
    regions = extractor(feats[:extractor.num_inputs], rois)
    if roi_head.with_shared_head:
        regions = roi_head.shared_head(regions)
    hook = roi_head.bbox_head.fc_cls.register_forward_pre_hook(
        lambda _, args: seen.append(args[0]))
    try:
        roi_head.bbox_head(regions)
    finally:
        hook.remove()
    return seen[0]
