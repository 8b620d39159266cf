# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.visualization import draw_pairs


def test_pairs_side_by_side():
    red, green = (np.full((40, 60, 3), color, np.uint8)
                  for color in ((0, 0, 255), (0, 255, 0)))
    sheet = draw_pairs([(red, green, 'x' * 200)] * 3, 120, 2)
    # Two columns of two images of 120 px, two rows, whatever the title.
    assert sheet.shape[1] == 2 * (2 * 120 + 4 + 12) + 12
    row = sheet[12 + 18 + 40]
    first = np.flatnonzero((row == (0, 0, 255)).all(1))
    second = np.flatnonzero((row == (0, 255, 0)).all(1))
    assert len(first) == len(second) == 2 * 120
    assert (second - first == 124).all()
    assert len(sheet) > 2 * 120
    with pytest.raises(ValueError, match='Got 0 images'):
        draw_pairs([])
