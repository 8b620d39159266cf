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


def test_the_spread_is_drawn():
    narrow, wide = (
        draw_label_curves({'a': {10: [5 - d, 5, 5 + d], 100: [9.]}}, '', '')
        for d in (0.1, 4))
    assert _share(wide, 'blue') > _share(narrow, 'blue')


def test_nothing_is_done_yet():
    assert draw_label_curves({}, 'Title', 'AP').shape == (504, 768, 3)
