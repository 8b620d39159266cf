# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.datasets import CutPatch, RandomPatch, SetKeys


@pytest.fixture
def results():
    rows, columns = np.mgrid[:100, :150]
    image = np.stack([columns, rows, rows + columns], axis=2).astype(np.uint8)
    return dict(img=image, img_path='a.jpg')


def _box(results):
    return results['gt_bboxes'].tensor[0].tolist()


def test_patches_have_the_area_and_lie_inside(results):
    transform = RandomPatch((0.05, 0.2), (0.5, 2.0))
    boxes = np.array([_box(transform(dict(results))) for _ in range(200)])
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    area = width * height / 15000
    assert 0.045 < area.min() < 0.07
    assert 0.15 < area.max() < 0.22
    assert 0.45 < (width / height).min() < 0.7
    assert 1.5 < (width / height).max() < 2.2
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= [150, 100]).all()
    assert boxes[:, 2].max() > 140


def _with_box(results, box):
    results['gt_bboxes'] = RandomPatch()(dict(results))['gt_bboxes']
    results['gt_bboxes'].tensor[0] = results['gt_bboxes'].tensor.new_tensor(
        box)
    return results


def test_a_patch_alone(results):
    cut = CutPatch((40, 40))(_with_box(dict(results), [30, 20, 50, 30]))
    assert cut['img'].shape == (20, 40, 3)
    assert cut['img_shape'] == (20, 40)
    assert _box(cut) == [0, 0, 40, 20]
    assert cut['img'][..., 0].min() >= 30
    assert cut['img'][..., 0].max() < 50


def test_a_patch_in_its_surroundings(results):
    cut = CutPatch((40, 40), margin=0.5)(
        _with_box(dict(results), [5, 20, 25, 30]))
    # There are but 5 of the 10 pixels on the left.
    assert cut['img'].shape == (40, 70, 3)
    assert _box(cut) == [10, 10, 50, 30]
    left, top = cut['img'][10, 10, :2]
    assert (left, top) == pytest.approx((5, 20), abs=1)


def test_a_pasted_patch(results):
    background = np.full((30, 40, 3), 200, np.uint8)
    results['backgrounds'] = [dict(img=background)]
    places = set()
    for _ in range(20):
        cut = CutPatch((20, 30), canvas=(64, 48))(
            _with_box(dict(results), [30, 20, 50, 30]))
        left, top, right, bottom = (int(n) for n in _box(cut))
        assert cut['img'].shape == (48, 64, 3)
        assert cut['img'][top:bottom, left:right, 0].max() < 60
        outside = np.ones((48, 64), bool)
        outside[top:bottom, left:right] = False
        assert (cut['img'][outside] == 200).all()
        assert 20 <= right - left <= 30
        places.add((left, top))
    assert len(places) > 10
    assert (background == 200).all()


@pytest.mark.parametrize(('make', 'words'), [
    (lambda: RandomPatch(area_range=(0.5, 0.1)), 'area_range is'),
    (lambda: RandomPatch(area_range=(0.5, 1.1)), 'up to 1'),
    (lambda: CutPatch((0, 5)), 'side_range is'),
    (lambda: CutPatch((5, 50), canvas=(60, 40)), 'up to 40'),
    (lambda: CutPatch((5, 9), margin=1, canvas=(60, 40)), 'margin is 1'),
])
def test_wrong_ranges(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_keys_are_set(results):
    results = SetKeys(split='bank')(results)
    assert results['split'] == 'bank'
    assert results['img_path'] == 'a.jpg'
