# Copyright (c) mmloc contributors. All rights reserved.
import pickle
from collections import Counter

import numpy as np
import pytest

from mmloc.datasets.transforms import SelectMatches

PAIRS = [dict(views=('a', 'b'))]
#: Of an image of 100 x 80. Proposals 1 to 6 lie in x < 60 but for 5 and 6.
PROPOSALS = np.array(
    [[0, 0, 50, 40], [10, 10, 40, 70], [5, 40, 55, 80], [20, 0, 60, 80],
     [60, 0, 100, 80], [70, 20, 90, 60]], np.float32)


def view(x1, y1, x2, y2, width=64, height=48):
    """A view of a region, with its region for the comparison."""
    scale = width / (x2 - x1), height / (y2 - y1)
    return dict(
        img_shape=(height, width),
        homography_matrix=np.array([[scale[0], 0, -x1 * scale[0]],
                                    [0, scale[1], -y1 * scale[1]],
                                    [0, 0, 1]]))


def sample(proposals=PROPOSALS, **views):
    if not views:
        views = dict(a=view(0, 0, 100, 80), b=view(20, 0, 60, 80, 32, 32))
    return dict(views=views, proposals=proposals)


def in_raw(results, name):
    """Boxes of a view in raw pixels."""
    view = results['views'][name]
    boxes = view['gt_bboxes'].numpy().astype(float)
    scale = np.diag(view['homography_matrix'])[:2]
    shift = view['homography_matrix'][:2, 2]
    return (boxes - np.tile(shift, 2)) / np.tile(scale, 2)


def test_boxes_are_clipped_proposals_with_their_ids():
    for _ in range(20):
        results = SelectMatches(PAIRS)(sample())
        for name, region in (('a', (0, 100)), ('b', (20, 60))):
            ids = results['views'][name]['gt_bboxes_labels']
            expected = PROPOSALS[ids - 1]
            expected[:, ::2] = expected[:, ::2].clip(*region)
            np.testing.assert_allclose(
                in_raw(results, name), expected, atol=1e-4)
            assert ids.dtype == np.int64
            # 5 only touches view b, and 6 is farther.
            assert sorted(ids) == [1, 2, 3, 4]
            pairs = results['views'][name]['gt_bboxes_pairs']
            assert pairs.tolist() == [0, 0, 0, 0]


def test_draws_without_replacement_and_uniformly():
    counts = Counter()
    for _ in range(300):
        results = SelectMatches(PAIRS, num=2)(sample())
        ids = results['views']['a']['gt_bboxes_labels'].tolist()
        assert len(set(ids)) == 2
        assert ids == results['views']['b']['gt_bboxes_labels'].tolist()
        counts.update(ids)
    # Five standard deviations of the binomial distribution.
    assert sorted(counts) == [1, 2, 3, 4]
    assert all(abs(count - 150) < 5 * np.sqrt(75) for count in counts.values())


def test_repeats_differ_between_views_and_share_ids():
    repeats = set()
    for _ in range(50):
        results = SelectMatches(PAIRS, num=6)(sample())
        ids = [v['gt_bboxes_labels'].tolist() for v in
               results['views'].values()]
        for name, view_ids in zip('ab', ids):
            assert len(view_ids) == 6
            assert sorted(view_ids[:4]) == [1, 2, 3, 4]
            assert set(view_ids[4:]) <= {1, 2, 3, 4}
            boxes = results['views'][name]['gt_bboxes'].numpy()
            for box, i in zip(boxes[4:], view_ids[4:]):
                np.testing.assert_array_equal(box, boxes[view_ids.index(i)])
        repeats.add(ids[0] == ids[1])
    assert repeats == {True, False}


def test_order_of_the_proposals_only_renames():
    order = np.array([4, 2, 0, 5, 1, 3])
    select = SelectMatches(PAIRS, num=4)
    boxes = []
    for proposals in (PROPOSALS, PROPOSALS[order]):
        results = select(sample(proposals))
        boxes.append([
            sorted(results['views'][name]['gt_bboxes'].numpy().tolist())
            for name in 'ab'
        ])
    assert boxes[0] == boxes[1]


def test_jitter_moves_copies_of_one_view():
    select = SelectMatches(PAIRS, jitter=dict(a=dict(prob=.5, ratio=.1)))
    jittered = []
    for _ in range(200):
        results = select(sample())
        ids = results['views']['a']['gt_bboxes_labels']
        clipped = PROPOSALS[ids - 1]
        clipped[:, ::2] = clipped[:, ::2].clip(20, 60)
        np.testing.assert_allclose(in_raw(results, 'b'), clipped, atol=1e-4)
        inner = ids == 2  # Far from the image's border, not clipped.
        change = in_raw(results, 'a')[inner] - PROPOSALS[1]
        sides = np.array([30, 60])
        jittered.append((abs(change) > 1e-3).any())
        if jittered[-1]:
            shift = change[0, :2] / sides
            growth = (change[0, 2:] - change[0, :2]) / sides
            drawn = abs(np.concatenate([shift, growth]))
            assert ((drawn > 1e-7) & (drawn < .1 + 1e-6)).all()
    assert abs(np.mean(jittered) - .5) < 5 * .5 / np.sqrt(200)


def test_jittered_boxes_stay_in_their_view():
    select = SelectMatches(PAIRS, jitter=dict(a=dict(prob=1., ratio=.3)))
    for _ in range(20):
        boxes = select(sample())['views']['a']['gt_bboxes'].numpy()
        assert (boxes >= 0).all()
        assert (boxes <= [64, 48, 64, 48]).all()


def test_pairs_are_drawn_apart_and_listed_in_order():
    pairs = [*PAIRS, dict(views=('a', 'c'))]
    views = dict(
        a=view(0, 0, 100, 80), b=view(0, 0, 60, 80), c=view(60, 0, 100, 80))
    results = SelectMatches(pairs, num=2)(sample(**views))
    ids = {name: v['gt_bboxes_labels'].tolist()
           for name, v in results['views'].items()}
    assert results['views']['a']['gt_bboxes_pairs'].tolist() == [0, 0, 1, 1]
    assert results['views']['c']['gt_bboxes_pairs'].tolist() == [1, 1]
    assert ids['a'][:2] == ids['b']
    assert set(ids['a'][2:]) == set(ids['c']) == {5, 6}


def test_same_as_takes_over_boxes_ids_and_repeats():
    pairs = [*PAIRS, dict(views=('a', 'c'), same_as=0)]
    select = SelectMatches(
        pairs, num=6, jitter=dict(a=dict(prob=1., ratio=.1)))
    region = (20, 0, 60, 80)
    results = select(
        sample(
            a=view(0, 0, 100, 80), b=view(*region), c=view(*region, 32, 24)))
    a, b, c = results['views'].values()
    np.testing.assert_array_equal(a['gt_bboxes'].numpy()[:6],
                                  a['gt_bboxes'].numpy()[6:])
    np.testing.assert_array_equal(a['gt_bboxes_labels'][:6],
                                  a['gt_bboxes_labels'][6:])
    np.testing.assert_array_equal(b['gt_bboxes'].numpy(),
                                  2 * c['gt_bboxes'].numpy())
    np.testing.assert_array_equal(b['gt_bboxes_labels'],
                                  c['gt_bboxes_labels'])
    with pytest.raises(ValueError, match="set source='b' of 'c'"):
        select(
            sample(
                a=view(0, 0, 100, 80),
                b=view(*region),
                c=view(20, 0, 61, 80)))


@pytest.mark.parametrize(('num_common', 'num', 'accepted_from'), [
    (4, 8, 0), (3, 8, 1), (1, 8, 2), (1, 2, 0), (0, 4, None)])
def test_minimum_falls_with_each_failed_try(num_common, num, accepted_from):
    select = SelectMatches(PAIRS, num=num)
    proposals = PROPOSALS[4 - num_common:]
    for attempt in range(5):
        results = select(dict(sample(proposals), attempt=attempt))
        accepted = accepted_from is not None and attempt >= accepted_from
        assert (results is not None) == accepted


def test_views_apart():
    views = dict(a=view(0, 0, 50, 80), b=view(50, 0, 100, 80))
    across = np.array([[10, 10, 90, 60]], np.float32)
    select = SelectMatches(PAIRS, min_common=1)
    assert select(sample(across, **views)) is None
    assert select(sample(np.zeros((0, 4), np.float32))) is None
    assert select(sample(across)) is not None


def test_boxes_too_small_in_one_view_are_dropped_in_both():
    views = dict(a=view(0, 0, 100, 80), b=view(50, 0, 100, 80))
    # Proposals 3 and 4 are 6.4 and 12.8 pixels wide in b, 6 is 12.8 in a.
    for min_size, left in ((0, {3, 4, 5, 6}), (10, {4, 5, 6}), (13, {5})):
        results = SelectMatches(PAIRS, min_size=min_size)(sample(**views))
        for v in results['views'].values():
            assert set(v['gt_bboxes_labels'].tolist()) == left
            assert len(v['gt_bboxes_labels']) == 4
    assert SelectMatches(PAIRS, min_size=60)(sample(**views)) is None


def test_inclusive_pixels():
    """Corners one pixel short, and touching decided by them."""
    proposal = np.array([[20, 10, 61, 70]], np.float32)
    views = dict(a=view(0, 0, 100, 80), b=view(60, 0, 100, 80))
    whole = SelectMatches(PAIRS, min_common=1)(sample(proposal, **views))
    np.testing.assert_allclose(
        in_raw(whole, 'b'), [[60, 10, 61, 70]] * 4, atol=1e-4)
    select = SelectMatches(PAIRS, min_common=1, inclusive=True)
    # Its last pixel, 60, is the first of view b.
    assert select(sample(proposal, **views)) is None
    proposal[:, 2] = 99
    np.testing.assert_allclose(
        in_raw(select(sample(proposal, **views)), 'b'),
        [[60, 10, 98, 69]] * 4, atol=1e-4)


def test_draws_follow_the_seed():
    select = SelectMatches(
        PAIRS, num=6, jitter=dict(a=dict(prob=.5, ratio=.1)))
    drawn = []
    for transform in (select, pickle.loads(pickle.dumps(select))):
        np.random.seed(5)
        drawn.append(transform(sample())['views']['a']['gt_bboxes'].numpy())
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(('kwargs', 'match'), [
    (dict(pairs=[]), '0 pairs'),
    (dict(pairs=PAIRS, num=0), 'num is 0'),
    (dict(pairs=[dict(views=('a', 'a'))]), 'two different names'),
    (dict(pairs=[dict(views=('a', 'b'), same_as=0)]), 'earlier pair'),
    (dict(pairs=[dict(view=('a', 'b'))]), 'Pair 0 is'),
    (dict(pairs=PAIRS, jitter=dict(a=dict(prob=2, ratio=.1))), r'prob in'),
    (dict(pairs=PAIRS, jitter=dict(a=dict(prob=1))), r"jitter of 'a'"),
])
def test_rejects_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        SelectMatches(**kwargs)


def test_rejects_bad_samples():
    with pytest.raises(ValueError, match=r'put mmloc.LoadProposals'):
        SelectMatches(PAIRS)(dict(views=sample()['views']))
    with pytest.raises(ValueError, match='every view must be in a pair'):
        SelectMatches([dict(views=('a', 'c'))])(sample())
    with pytest.raises(ValueError, match=r"those of jitter \['c'\]"):
        SelectMatches(PAIRS, jitter=dict(c=dict(prob=1, ratio=0)))(sample())
