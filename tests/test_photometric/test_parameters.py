# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.photometric import apply, change, stack, unchanged

from .samples import draw, pictures

CHANGES = dict(
    jitter=[2, 0, 3, 1, 1.3, 0.7, 1.4, 230],
    grey=[1],
    blur=[1.3],
    solarize=[100],
    cutout=[104, 116, 124, 3, 2, 9, 20, 0, 0, 4, 4])


@pytest.mark.parametrize('names', [[name] for name in CHANGES] +
                         [list(CHANGES), ['jitter', 'blur', 'cutout']])
def test_noted_changes_give_what_immediate_ones_give(names):
    img = pictures(1)[0]
    now, later = dict(img=img), dict(img=img, photometric=unchanged())
    for name in names:
        change(now, name, CHANGES[name])
        change(later, name, CHANGES[name])
    assert later['img'] is img
    assert not np.array_equal(now['img'], img)
    np.testing.assert_array_equal(apply(img, later['photometric']), now['img'])


def test_without_a_change_the_image_stays():
    img = pictures(1)[0]
    assert apply(img, unchanged()) is img


def test_vectors_are_not_shared():
    """Views are made of copies of one sample."""
    start = unchanged()
    change(dict(img=pictures(1)[0], photometric=start), 'grey', [1])
    np.testing.assert_array_equal(start, unchanged())


@pytest.mark.parametrize('names', [('blur', 'jitter'), ('grey', 'grey')])
def test_another_order_is_refused(names):
    results = dict(img=pictures(1)[0], photometric=unchanged())
    change(results, names[0], CHANGES[names[0]])
    with pytest.raises(ValueError, match=f'{names[0]}.*before.*{names[1]}'):
        change(results, names[1], CHANGES[names[1]])


def test_a_resize_in_between_is_refused():
    results = dict(img=pictures(1)[0], photometric=unchanged())
    change(results, 'grey', [1])
    results['img'] = results['img'][:9]
    with pytest.raises(ValueError, match='cropped, resized or mirrored'):
        change(results, 'blur', [1.3])
    with pytest.raises(ValueError, match='cropped, resized or mirrored'):
        stack([results['photometric']], (9, 30), [False])


def test_a_flip_is_refused_after_a_cutout_only():
    results = dict(img=pictures(1)[0], photometric=unchanged())
    change(results, 'blur', [1.3])
    stack([results['photometric']], (24, 30), [True])
    change(dict(results, flip=True), 'cutout', CHANGES['cutout'])
    results['flip'] = True
    change(results, 'cutout', CHANGES['cutout'])
    stack([results['photometric']], (24, 30), [True])
    with pytest.raises(ValueError, match='mirrored'):
        stack([results['photometric']], (24, 30), [False])


def test_stacks_any_numbers_of_squares():
    images = pictures(8)
    rng = np.random.RandomState(0)
    vectors = [draw(img, rng) for img in images]
    assert len({len(vector) for vector in vectors}) > 1
    batch = stack(vectors, (24, 30), [False] * 8)
    for img, row, vector in zip(images, batch, vectors):
        np.testing.assert_array_equal(apply(img, row), apply(img, vector))
