# Copyright (c) mmloc contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest

from mmloc.datasets.transforms import (
    DeferPhotometric,
    PackRegionInputs,
    RandomGrayscale,
)
from mmloc.resampling import DeferredImage, resize_antialiased
from mmloc.visualization import (
    PALETTE,
    draw_boxes,
    draw_coco,
    enlarge,
    save_image,
    tile,
)
from mmloc.visualization.drawing import view_pixels

BLANK = np.full((60, 80, 3), 128, np.uint8)


def test_draw_boxes():
    drawn = draw_boxes(BLANK, [[10, 20, 50, 40]], 'sky')
    assert tuple(drawn[20, 30]) == tuple(drawn[30, 50]) == PALETTE['sky']
    assert (drawn[30, 30] == 128).all()
    assert (BLANK == 128).all()
    assert (draw_boxes(BLANK, np.zeros((0, 4))) == BLANK).all()


def test_pixels_of_a_view_that_is_still_to_be_cut_out():
    """Crop, resize, flip and colours, in this order."""
    img = np.random.RandomState(0).randint(0, 256, (40, 50, 3), np.uint8)
    results = RandomGrayscale(1.)(
        DeferPhotometric()(dict(img=DeferredImage(img)[3:20, 5:45])))
    results['img'] = results['img'].resize((20, 17)).flip('vertical')
    packed = PackRegionInputs(meta_keys=())(results)
    pixels = view_pixels(
        {key: dict(a=value) for key, value in packed.items()}, 'a')
    expected = resize_antialiased(img[3:20, 5:45], (20, 17))[::-1]
    np.testing.assert_array_equal(
        pixels, RandomGrayscale(1.)(dict(img=expected))['img'])


def test_dashes_leave_gaps():
    solid, dashed = (
        draw_boxes(BLANK, [[5, 5, 75, 55]], dashed=dashed)
        for dashed in (False, True))
    assert 0 < (dashed != 128).sum() < 0.9 * (solid != 128).sum()


@pytest.mark.parametrize('box', [[-30, -30, 200, 200], [70, 50, 90, 70]])
def test_boxes_and_labels_may_stick_out(box):
    drawn = draw_boxes(BLANK, [box], labels=['class'])
    # The label is written inside the image all the same.
    assert (drawn != draw_boxes(BLANK, [box])).sum() > 50


def test_enlarge():
    image, factor = enlarge(BLANK, 160)
    assert image.shape == (120, 160, 3)
    assert factor == 2
    assert enlarge(BLANK, 20)[0].shape == (15, 20, 3)


def test_tile():
    images = [np.full((20, 30, 3), i, np.uint8) for i in range(3)]
    sheet = tile(images, 2, gap=4)
    assert sheet.shape == (52, 72, 3)
    assert [sheet[10, 10, 0], sheet[10, 50, 0], sheet[40, 10, 0]] == [0, 1, 2]
    assert sheet[40, 50, 0] == 255
    assert len(tile(images, 2, titles=['a', '', 'b'], gap=4)) == 88
    with pytest.raises(ValueError, match='Got 0 images'):
        tile([], 2)


def test_draw_coco(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), BLANK)
    coco = dict(
        images=[dict(id=4, file_name='a.png')],
        annotations=[
            dict(image_id=4, category_id=2, bbox=[10, 20, 40, 20]),
            dict(image_id=5, category_id=2, bbox=[0, 0, 1, 1])
        ],
        categories=[dict(id=2, name='cat')])
    (tmp_path / 'a.json').write_text(json.dumps(coco))
    sheet = draw_coco(str(tmp_path / 'a.json'), str(tmp_path), side=160)
    assert tuple(sheet[6 + 40, 6 + 60]) == PALETTE['yellow']
    (tmp_path / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png'):
        draw_coco(str(tmp_path / 'a.json'), str(tmp_path))


def test_save_image(tmp_path):
    path = save_image(BLANK, tmp_path / 'new' / 'a.png')
    assert (cv2.imread(path) == BLANK).all()
    with pytest.raises(ValueError, match=r'ends in \.png or \.jpg'):
        save_image(BLANK, tmp_path / 'a.xyz')
