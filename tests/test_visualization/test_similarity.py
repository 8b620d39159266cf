# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.apis import BoxSimilarity
from mmloc.visualization import draw_similarity

IMAGE = np.full((40, 60, 3), 128, np.uint8)
BOX = np.array([10., 5., 30., 25.])


def test_a_panel_for_each_source():
    found = BoxSimilarity(np.eye(4, dtype=np.float32), BOX, 1.)
    one = draw_similarity(IMAGE, BOX, IMAGE, dict(c4=found))
    two = draw_similarity(IMAGE, BOX, IMAGE, dict(c4=found, c5=found))
    assert one.dtype == np.uint8
    assert two.shape[1] == pytest.approx(one.shape[1] * 1.5, rel=0.05)
    # The similar places are bright, the others dark.
    panel = one[:, one.shape[1] // 2:]
    assert panel[panel.shape[0] // 8:panel.shape[0] // 2].std() > 30


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='Got 0 similarities'):
        draw_similarity(IMAGE, BOX, IMAGE, {})
