# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import numpy as np

from .drawing import as_array, draw_boxes, enlarge, tile, view_pixels

#: Colours of the instances of a composite, by rising instance id.
_INSTANCE_COLORS = ('yellow', 'sky', 'purple', 'green')
_AUGMENTED_COLOR = 'orange'


def draw_composites(samples: Sequence[dict],
                    columns: int = 2,
                    side: int = 224) -> np.ndarray:
    """Draw the views of pretext samples side by side with their boxes.

    A solid box is where an instance was pasted, in the same colour in every
    view; a dashed orange one is the augmented box that is pooled in its
    place.

    Args:
        samples (Sequence[dict]): What the dataset returns, before the data
            preprocessor: ``inputs`` {view: uint8 Tensor (3, H, W), BGR} and
            ``data_samples`` {view: DetDataSample} whose ``gt_instances``
            hold ``bboxes`` (K, 4), ``labels`` (K, ), the instance ids, and
            perhaps ``aug_bboxes`` (K, 4); boxes are xyxy in pixels.
        columns (int): Samples in a row. Defaults to 2.
        side (int): Longer side of a view in pixels. Defaults to 224.

    Returns:
        np.ndarray: The sheet, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: There are no samples.
        TypeError: The images are not uint8, so they are normalised already.
    """
    cells, titles = [], []
    for i, sample in enumerate(samples):
        for view in sample['inputs']:
            image = view_pixels(sample, view)
            instances = sample['data_samples'][view].gt_instances
            cells.append(_draw_view(image, instances, side))
            titles.append(f'{i + 1}: {view}')
    views = len(samples[0]['inputs']) if samples else 1
    return tile(cells, columns * views, titles)


def _draw_view(image: np.ndarray, instances, side: int) -> np.ndarray:
    image, factor = enlarge(image, side)
    if 'aug_bboxes' in instances:
        image = draw_boxes(
            image, as_array(instances.aug_bboxes) * factor, _AUGMENTED_COLOR,
            dashed=True)
    boxes, ids = as_array(instances.bboxes), as_array(instances.labels)
    for place, instance_id in enumerate(np.unique(ids)):
        color = _INSTANCE_COLORS[place % len(_INSTANCE_COLORS)]
        image = draw_boxes(image, boxes[ids == instance_id] * factor, color)
    return image
