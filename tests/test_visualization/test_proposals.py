# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.visualization import PALETTE
from mmloc.visualization.proposals import draw_proposals, proposal_levels


def _boxes(*sizes, image=(448, 112)):
    """Boxes with these ``sqrt(w * h)`` in a square view of 224 pixels."""
    sides = np.float32([image]) * np.float32(sizes)[:, None] / 224
    return np.concatenate([np.zeros_like(sides), sides], axis=1)


def test_levels_are_those_of_the_square_view():
    boxes = _boxes(10, 48, 49, 96, 97, 192, 193, 224)
    assert proposal_levels(boxes, 448, 112).tolist() == [0, 0, 1, 1, 2, 2, 3,
                                                         3]  # yapf: disable
    levels = proposal_levels(boxes, 448, 112, thresholds=(50, 100))
    assert levels.tolist() == [0, 0, 0, 1, 1, -1, -1, -1]
    assert proposal_levels(boxes, 448, 112, view=112).tolist() == [
        0, 0, 0, 0, 1, 1, 2, 2]  # yapf: disable
    assert len(proposal_levels(np.zeros((0, 4), 'f4'), 9, 9)) == 0


def _has(image, color):
    """Whether a colour is there, however softened by the resizing."""
    difference = np.abs(image.astype(int) - PALETTE[color]).max(axis=2)
    return bool((difference < 40).any())


def test_boxes_have_the_colours_of_their_levels():
    image = np.full((112, 448, 3), 128, np.uint8)
    for size, color in ((40, 'yellow'), (90, 'sky'), (150, 'green'),
                        (200, 'purple')):
        sheet = draw_proposals([image], [_boxes(size)], ['a'])
        cell = sheet[26 + 28:]  # below the legend and the title
        assert _has(cell, color), size
        others = {'yellow', 'sky', 'green', 'purple'} - {color}
        assert not any(_has(cell, other) for other in others), size
    cell = draw_proposals([image], [_boxes(150)], ['a'], (50, 100))[54:]
    assert _has(cell, 'orange')


def test_layout():
    wide = np.zeros((100, 200, 3), np.uint8)
    high = wide.transpose(1, 0, 2)
    none = np.zeros((0, 4), 'f4')
    sheet = draw_proposals([high, wide, high, wide], [none] * 4, 'abcd',
                           columns=2, side=300)
    # Two wide ones in the first row, two high ones in the second.
    assert sheet.shape[0] == 26 + (10 + 150 + 18 + 10) + (10 + 300 + 18 + 10)
    with pytest.raises(ValueError, match='0 images'):
        draw_proposals([], [], [])


@pytest.mark.parametrize(('thresholds', 'match'), [
    ((), 'There are 0 thresholds'), ((1, 2, 3, 4, 5), 'are 5 thresholds'),
    ((96, 48), 'expected rising')])  # yapf: disable
def test_wrong_thresholds(thresholds, match):
    image = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ValueError, match=match):
        draw_proposals([image], [np.zeros((0, 4))], ['a'], thresholds)
