# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
import pytest

from mmloc.datasets.transforms import PasteInstance


def sample(num_foregrounds=1, num_backgrounds=2):
    """White foregrounds of 60 x 45, backgrounds of grey level 10, 20, ..."""
    return dict(
        foregrounds=[
            dict(img=np.full((45, 60, 3), 255 - i, np.uint8))
            for i in range(num_foregrounds)
        ],
        backgrounds=[
            dict(img=np.full((30, 50, 3), 10 * (i + 1), np.uint8))
            for i in range(num_backgrounds)
        ])


def pasted_box(img, value):
    ys, xs = np.nonzero((img == value).all(axis=2))
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_box_is_where_the_foreground_is():
    np.random.seed(0)
    paste = PasteInstance(background=1)
    for _ in range(20):
        results = paste(sample())
        img = results['img']
        assert img.shape == (256, 256, 3)
        assert img.dtype == np.uint8
        assert results['img_shape'] == results['ori_shape'] == (256, 256)
        box, = results['gt_bboxes'].tensor.int().tolist()
        assert box == pasted_box(img, 255)
        x1, y1, x2, y2 = box
        assert (img[y1:y2, x1:x2] == 255).all()
        assert (img == 20).all(axis=2).sum() == 256**2 - (x2 - x1) * (y2 - y1)
        assert results['gt_bboxes_labels'].tolist() == [0]
        assert results['gt_bboxes_labels'].dtype == np.int64


def test_aspect_of_the_crop_is_kept():
    np.random.seed(0)
    whole = PasteInstance(crop_ratio_range=(1, 1), aspect_ratio_range=(1, 2))
    for _ in range(20):
        results = whole(sample())
        (x1, y1, x2, y2), = results['gt_bboxes'].tensor.tolist()
        assert (x2 - x1) / (y2 - y1) == pytest.approx(60 / 45, rel=0.02)


def test_several_foregrounds():
    np.random.seed(0)
    paste = PasteInstance(canvas=(64, 64), width_range=(16, 24))
    results = paste(sample(num_foregrounds=3))
    boxes = results['gt_bboxes'].tensor.int().tolist()
    assert results['gt_bboxes_labels'].tolist() == [0, 1, 2]
    # The last one lies on top.
    x1, y1, x2, y2 = boxes[-1]
    assert (results['img'][y1:y2, x1:x2] == 253).all()


def test_no_foreground():
    results = PasteInstance()(sample(num_foregrounds=0))
    assert results['gt_bboxes'].tensor.shape == (0, 4)
    assert results['gt_bboxes_labels'].shape == (0, )
    assert (results['img'] == 10).all()


@pytest.mark.parametrize('canvas', [(320, 96), (80, 200)])
def test_rectangular_canvas(canvas):
    np.random.seed(0)
    paste = PasteInstance(
        canvas=canvas,
        width_range=(canvas[0] // 2, canvas[0] - 2),
        height_range=(canvas[1] // 2, canvas[1] - 2))
    for _ in range(50):
        results = paste(sample())
        assert results['img_shape'] == canvas[::-1]
        (x1, y1, x2, y2), = results['gt_bboxes'].tensor.tolist()
        assert 0 <= x1 < x2 < canvas[0]
        assert 0 <= y1 < y2 < canvas[1]


def test_inputs_stay_as_they_are():
    results = sample()
    # A background of the size of the canvas needs no resizing.
    background = np.zeros((256, 256, 3), np.uint8)
    results['backgrounds'][0]['img'] = background
    PasteInstance()(results)
    assert (background == 0).all()


def test_draws_follow_the_seed():
    boxes = []
    for _ in range(2):
        np.random.seed(3)
        boxes.append(PasteInstance()(sample())['gt_bboxes'].tensor.tolist())
    assert boxes[0] == boxes[1]


def test_foreground_of_one_pixel():
    results = sample()
    results['foregrounds'][0]['img'] = np.full((1, 1, 3), 255, np.uint8)
    box, = PasteInstance()(results)['gt_bboxes'].tensor.int().tolist()
    assert box == pasted_box(results['img'], 255)


def test_rejects_bad_arguments():
    with pytest.raises(ValueError, match='stay below the width 100'):
        PasteInstance(canvas=(100, 300), width_range=(50, 100))
    with pytest.raises(ValueError, match='height_range'):
        PasteInstance(width_range=(8, 9), height_range=(9, 8))
    with pytest.raises(ValueError, match='asks for background 2'):
        PasteInstance(background=2)(sample())
