# Copyright (c) mmloc contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest

from mmloc.visualization import PALETTE, draw_coco_detections, draw_detections
from mmloc.visualization.detections import match_detections

IMAGE = np.full((100, 100, 3), 128, np.uint8)
TRUTH = dict(
    bboxes=np.array([[10, 40, 40, 70], [50, 40, 90, 80]], np.float32),
    labels=np.array([0, 1]))


def _found(boxes, labels, scores):
    return dict(
        bboxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, int),
        scores=np.array(scores, float))


@pytest.mark.parametrize(('boxes', 'labels', 'scores', 'right'), [
    ([[10, 40, 40, 70]], [0], [0.9], [True]),
    ([[10, 40, 40, 70]], [1], [0.9], [False]),
    ([[25, 40, 55, 70]], [0], [0.9], [False]),
    ([[10, 40, 40, 70], [12, 40, 40, 70]], [0, 0], [0.4, 0.8], [False, True]),
    ([], [], [], []),
])
def test_match_detections(boxes, labels, scores, right):
    found = _found(boxes, labels, scores)
    assert match_detections(found, TRUTH).tolist() == right
    nothing = _found([], [], [])
    assert not match_detections(found, nothing).any()


def test_draw_detections():
    found = _found([[10, 40, 40, 70], [50, 10, 90, 30], [0, 0, 99, 99]],
                   [0, 1, 1], [0.9, 0.8, 0.1])
    sheet = draw_detections([IMAGE], [TRUTH], dict(net=[found]), ['a', 'b'],
                            side=100)
    truth, drawn = sheet[24:124, 6:106], sheet[24:124, 112:212]
    assert tuple(truth[60, 10]) == PALETTE['yellow']
    assert tuple(drawn[60, 10]) == PALETTE['sky']
    wrong = {tuple(pixel) for pixel in drawn[30, 50:90]}
    assert PALETTE['orange'] in wrong
    # The score of the third is too low to be drawn.
    assert (drawn[90:] == 128).all()


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="'net' has 2 entries for 1 images"):
        draw_detections([IMAGE], [TRUTH], dict(net=[TRUTH, TRUTH]), ['a'])


def test_files_of_an_evaluation(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    # Category ids need not count from 0, and images may have no object.
    coco = dict(
        images=[
            dict(id=1, file_name='none.png'),
            dict(id=5, file_name='a.png')
        ],
        annotations=[dict(image_id=5, category_id=9, bbox=[10, 40, 30, 30])],
        categories=[dict(id=3, name='cat'),
                    dict(id=9, name='dog')])
    found = [
        dict(image_id=5, category_id=9, bbox=[10, 40, 30, 30], score=0.8)
    ]
    paths = {}
    for name, content in dict(
            truth=coco, good=found, blind=[]).items():
        paths[name] = str(tmp_path / f'{name}.json')
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    truth = paths.pop('truth')
    sheet = draw_coco_detections(truth, str(tmp_path), paths)
    assert sheet.shape[1] == 3 * (256 + 6) + 6
    row = sheet[24 + round(55 * 2.56)]
    assert tuple(row[6 + 26]) == PALETTE['yellow']
    assert tuple(row[6 + 262 + 26]) == PALETTE['sky']
    assert (row[6 + 2 * 262:-6] == 128).all()
    (tmp_path / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png'):
        draw_coco_detections(truth, str(tmp_path), paths)
