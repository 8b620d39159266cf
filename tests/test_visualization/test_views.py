# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmloc.visualization import PALETTE, draw_views

SIDE = 100
THRESHOLDS = (10, 20, 30, 40)
GAP, TITLE = 14, 32  # of the sheet: around a panel, and above its pixels
GRAY, WHITE = (128, ) * 3, (255, ) * 3


def view(boxes, ids, pairs, side=SIDE):
    instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor(boxes).reshape(-1, 4)),
        labels=torch.tensor(ids), pairs=torch.tensor(pairs))
    image = torch.full((3, side, side), 128, dtype=torch.uint8)
    return image, DetDataSample(gt_instances=instances)


def sample(**views):
    return dict(inputs={name: value[0] for name, value in views.items()},
                data_samples={name: value[1]
                              for name, value in views.items()})


def colors(image):
    return {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}


def panel(sheet, left=GAP):
    """The two views and what is between them."""
    sheet = sheet[TITLE:TITLE + SIDE, left:]
    return sheet[:, :SIDE], sheet[:, SIDE + 1:SIDE + 35], sheet[:, SIDE + 36:]


BOX = [40., 40., 49., 49.]  # of 9 px, on the first level


def test_a_box_has_the_colour_of_its_level_in_its_view():
    for size, color in ((9, 'yellow'), (19, 'sky'), (29, 'green'),
                        (39, 'purple'), (41, 'orange')):
        box = [10., 20., 10. + size, 20. + size]
        one, two = view([box], [1], [0]), view([BOX], [1], [0])
        a, _, b = panel(draw_views([sample(a=one, b=two)], THRESHOLDS,
                                   side=SIDE))
        assert tuple(a[20, 13]) == PALETTE[color]
        assert PALETTE['yellow'] in colors(b)


@pytest.mark.parametrize(('boxes', 'ids', 'joined'), [
    ([BOX], [1], True),
    ([BOX], [2], False),
    ([[10., 10., 60., 60.]], [1], False),  # on no level
])
def test_lines_join_what_matches(boxes, ids, joined):
    one, two = view(boxes, ids, [0]), view([BOX], [1], [0])
    between = panel(draw_views([sample(a=one, b=two)], THRESHOLDS,
                               side=SIDE))[1]
    rows = np.flatnonzero((between == 0).all(-1).any(1))
    assert (len(rows) > 0) == joined
    if joined:  # a level line at half the height of the boxes
        assert rows.max() - rows.min() < 8
        assert rows.min() <= 44 <= rows.max()
    assert (between[0] == 255).all()


def test_pairs_stand_apart_with_their_own_boxes():
    low, high = [10., 70., 19., 79.], [10., 20., 19., 29.]
    one = view([low, high], [1, 1], [0, 1])
    # Half as large: drawn so, and centred.
    small = view([[5., 10., 9., 14.]], [1], [1], SIDE // 2)
    sheet = draw_views([sample(a=one, b=view([low], [1], [0]), c=small)],
                       THRESHOLDS, side=SIDE)
    for left, drawn, other in ((GAP, 70, 20), (GAP + 236 + GAP, 20, 70)):
        a = panel(sheet, left)[0]
        assert tuple(a[drawn, 13]) == PALETTE['yellow']
        assert tuple(a[other, 13]) == GRAY
    c = panel(sheet, GAP + 236 + GAP)[2]
    assert tuple(c[50, 49]) == GRAY
    assert tuple(c[50, 51]) == tuple(c[20, 20]) == WHITE


def test_rows_and_legend():
    samples = [sample(a=view([BOX], [1], [0]), b=view([BOX], [1], [0]))] * 3
    sheet = draw_views(samples, THRESHOLDS, side=SIDE)
    assert sheet.shape[0] == 3 * (SIDE + TITLE) + GAP + 26
    assert {PALETTE[c] for c in ('yellow', 'sky', 'green', 'purple')
            } <= colors(sheet[-26:])
    assert PALETTE['orange'] not in colors(sheet[-26:])
    # One level: no limit, and nothing to tell apart.
    sheet = draw_views(samples, None, side=SIDE)
    assert sheet.shape[0] == 3 * (SIDE + TITLE) + GAP


def test_errors():
    one = view([BOX], [1], [0])
    with pytest.raises(ValueError, match='0 images'):
        draw_views([])
    with pytest.raises(ValueError, match='5 thresholds, expected at most 4'):
        draw_views([sample(a=one, b=one)], (1, 2, 3, 4, 5))
    with pytest.raises(TypeError, match='expected uint8'):
        draw_views([sample(a=(one[0] / 255, one[1]), b=one)])
    del one[1].gt_instances.pairs
    with pytest.raises(ValueError, match='boxes of a have no pairs'):
        draw_views([sample(a=one, b=one)])
