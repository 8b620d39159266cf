# Copyright (c) mmloc contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest

CLASSES = ('square', 'bar')


@pytest.fixture(scope='session')
def tiny_coco(tmp_path_factory):
    """A folder with 8 images of 64 px, one or two rectangles on each."""
    root = tmp_path_factory.mktemp('tiny_coco')
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (root / 'images').mkdir()
    for image_id in range(8):
        image = rng.integers(0, 80, (64, 64, 3), dtype=np.uint8)
        for _ in range(1 + image_id % 2):
            label = int(rng.integers(2))
            w, h = (24, 24) if label == 0 else (32, 12)
            x, y = rng.integers(0, 64 - w), rng.integers(0, 64 - h)
            image[y:y + h, x:x + w] = 255 if label else (0, 0, 255)
            x, y = int(x), int(y)
            annotations.append(
                dict(id=len(annotations) + 1, image_id=image_id, iscrowd=0,
                     category_id=label + 1, bbox=[x, y, w, h], area=w * h,
                     segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]]))
        name = f'{image_id}.jpg'
        cv2.imwrite(str(root / 'images' / name), image)
        images.append(dict(id=image_id, file_name=name, width=64, height=64))
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    (root / 'annotations.json').write_text(json.dumps(dict(
        images=images, annotations=annotations, categories=categories)))
    return root
