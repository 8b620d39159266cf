# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmloc.visualization import PALETTE, draw_composites

SIDE = 100  # of the view and of its drawing


def _sample(boxes, ids, aug_boxes=None):
    instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor(boxes)), labels=torch.tensor(ids))
    data_sample = DetDataSample(gt_instances=instances)
    if aug_boxes is not None:
        instances.aug_bboxes = torch.tensor(aug_boxes)
    image = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    return dict(
        inputs=dict(query=image, key=image.clone()),
        data_samples=dict(
            query=data_sample,
            key=DetDataSample(
                gt_instances=InstanceData(
                    bboxes=torch.tensor(boxes), labels=torch.tensor(ids)))))


def _views(sheet):
    """The views of one sample out of a sheet: below a title, gaps of 6."""
    return [
        sheet[24:24 + SIDE, left:left + SIDE] for left in (6, 12 + SIDE)
    ]


def test_boxes():
    sample = _sample([[10., 20., 60., 70.]], [0], [[5., 25., 90., 95.]])
    query, key = _views(draw_composites([sample], side=SIDE))
    assert tuple(query[20, 30]) == tuple(key[20, 30]) == PALETTE['yellow']
    # The augmented box belongs to the query alone.
    colors = {tuple(pixel) for pixel in query[95]}
    assert PALETTE['orange'] in colors
    assert (key[95] == 128).all()


def test_an_instance_keeps_its_colour():
    boxes = [[10., 10., 40., 40.], [50., 50., 90., 90.]]
    first = _views(draw_composites([_sample(boxes, [4, 7])], side=SIDE))[0]
    swapped = _views(
        draw_composites([_sample(boxes[::-1], [7, 4])], side=SIDE))[0]
    assert (first == swapped).all()
    assert tuple(first[10, 25]) != tuple(first[50, 70])


def test_no_instance():
    sample = _sample(np.zeros((0, 4)), np.zeros(0, int))
    for view in _views(draw_composites([sample], side=SIDE)):
        assert (view == 128).all()


def test_layout():
    samples = [_sample([[1., 1., 9., 9.]], [0])] * 3
    sheet = draw_composites(samples, columns=2, side=SIDE)
    assert sheet.shape == (2 * (SIDE + 24) + 6, 4 * (SIDE + 6) + 6, 3)


def test_errors():
    with pytest.raises(ValueError, match='0 images'):
        draw_composites([])
    sample = _sample([[1., 1., 9., 9.]], [0])
    sample['inputs']['query'] = sample['inputs']['query'] / 255
    with pytest.raises(TypeError, match='expected uint8'):
        draw_composites([sample])
