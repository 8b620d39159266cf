# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.visualization.proposal_statistics import ProposalStatistics
from mmloc.visualization.proposals import proposal_levels

NONE = np.zeros((0, 4), 'f4')


def test_statistics():
    boxes = np.float32([[0, 0, 2 * side, side / 2]
                        for side in (40, 90, 100, 224)])
    records = [
        ('a', 448, 112, boxes),
        ('b', 9, 9, NONE),
        ('c', 100, 100, np.float32([[10, 10, 60, 20], [0, 0, 0, 9]])),
    ]
    found = ProposalStatistics.measure(records)
    assert found.counts.tolist() == [4, 0, 2]
    np.testing.assert_allclose(
        found.sizes,
        [40 / 224, 90 / 224, 100 / 224, 1, np.sqrt(.05), 0], atol=1e-6)
    np.testing.assert_allclose(found.ratios[:5], [4, 4, 4, 4, 5], rtol=1e-5)
    assert found.level_shares().tolist() == [2 / 6, 2 / 6, 1 / 6, 1 / 6, 0]
    assert found.draw().ndim == 3


def test_shares_agree_with_levels():
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(0, 300, (500, 2, 2)), axis=1).reshape(-1, 4)
    boxes = boxes.astype('f4')
    shares = ProposalStatistics.measure(
        [('a', 300, 200, boxes)]).level_shares((48, 96, 192))
    levels = proposal_levels(boxes, 300, 200, (48, 96, 192))
    expected = np.bincount(levels % 4, minlength=4) / 500
    np.testing.assert_allclose(shares, expected)


def test_a_set_without_boxes():
    found = ProposalStatistics.measure([('a', 9, 9, NONE)])
    assert not found.level_shares().any()
    assert found.draw().dtype == np.uint8


def test_limit_spreads_over_the_set():
    records = [('a', 9, 9, np.zeros((i, 4), 'f4')) for i in range(101)]
    shown = []
    found = ProposalStatistics.measure(
        records, 5, lambda items, total, _: shown.append(total) or items)
    assert found.counts.tolist() == [0, 25, 50, 75, 100]
    assert shown == [5]
    with pytest.raises(ValueError, match='limit is 0'):
        ProposalStatistics.measure(records, 0)
