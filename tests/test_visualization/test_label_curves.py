# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np

from mmloc.visualization import PALETTE, draw_label_curves


def _share(image, color):
    """How much of a picture is in exactly that colour."""
    return (image == PALETTE[color]).all(axis=2).mean()


def test_every_start_has_a_line():
    one = draw_label_curves({'a': {10: [1.], 100: [2., 3.]}}, 'Title', 'AP')
    two = draw_label_curves({'a': {10: [1.], 100: [2., 3.]},
                             'b': {10: [2., 4.], 1000: [3., 3.]}}, 'T', 'AP')
    assert one.dtype == np.uint8
    assert one.shape == two.shape == (504, 768, 3)
    assert 0 < _share(one, 'blue')
    assert 0 < _share(two, 'blue')
    assert _share(one, 'vermilion') == 0 < _share(two, 'vermilion')


def test_the_spread_is_drawn_both_ways():
    up, down, flat = (
        _share(draw_label_curves({'a': {10: scores, 100: [9.]}}, '', ''),
               'blue')
        for scores in ([1.] * 4 + [9.], [9.] * 4 + [1.], [5.] * 5))
    for share in (up, down):
        assert share > 1.2 * flat


def test_nothing_is_done_yet():
    assert draw_label_curves({}, 'Title', 'AP').shape == (504, 768, 3)
