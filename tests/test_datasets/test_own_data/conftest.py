# Copyright (c) mmloc contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest

from mmloc.datasets.own_data import Findings


@pytest.fixture
def findings():
    return Findings()


@pytest.fixture
def coco(tmp_path):
    """Write a COCO json whose images are 60 x 40 px, those named exist.

    Of a box, category and xywh are given; of an image, its name and maybe
    other entries.
    """

    def write(images, boxes=(), categories=((1, 'cat'), (2, 'dog')),
              missing=()):
        (tmp_path / 'images').mkdir(exist_ok=True)
        entries = []
        for i, image in enumerate(images):
            image = dict(file_name=image) if isinstance(
                image, str) else image
            entries.append(dict(id=i, width=60, height=40) | image)
            if image['file_name'] not in missing:
                pixels = np.random.default_rng(i).integers(
                    0, 256, (40, 60, 3), np.uint8)
                cv2.imwrite(
                    str(tmp_path / 'images' / image['file_name']), pixels)
        path = tmp_path / 'set.json'
        path.write_text(json.dumps(dict(
            images=entries,
            annotations=[dict(id=1, image_id=image, category_id=category,
                              bbox=bbox) for image, category, bbox in boxes],
            categories=[dict(id=i, name=name) for i, name in categories])))
        return str(path)

    return write


@pytest.fixture
def voc(tmp_path):
    """Write a set in VOC's form, its objects as (name, box, difficult)."""

    def write(objects, size=(60, 40), folders=('images', 'annots')):
        images, annots = (tmp_path / 'voc' / name for name in folders)
        for folder in (images, annots):
            folder.mkdir(parents=True, exist_ok=True)
        for i, items in enumerate(objects):
            pixels = np.random.default_rng(i).integers(
                0, 256, (40, 60, 3), np.uint8)
            cv2.imwrite(str(images / f'{i}.jpg'), pixels)
            text = ''.join(
                f'<object><name>{name}</name><difficult>{hard}</difficult>'
                '<bndbox>' + ''.join(
                    f'<{key}>{value}</{key}>' for key, value in zip(
                        ('xmin', 'ymin', 'xmax', 'ymax'), box)) +
                '</bndbox></object>' for name, box, hard in items)
            (annots / f'{i}.xml').write_text(
                f'<annotation><size><width>{size[0]}</width><height>{size[1]}'
                f'</height></size>{text}</annotation>')
        return tmp_path / 'voc'

    return write
