# Copyright (c) mmloc contributors. All rights reserved.
"""Selective search and its filters against the published implementation.

The photos at full resolution are not part of the set. Name a folder that
holds the files of ``imagenet-sample-images`` with the environment variable
``MMLOC_PHOTOS`` to compare with them too; files whose pixels are not those
of the set are refused.
"""
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmloc.proposals import filter_proposals, selective_search
from mmloc.proposals.felzenszwalb import felzenszwalb
from mmloc.proposals.grouping import group_regions
from mmloc.proposals.regions import describe_regions

from .golden import GOLDEN, load_case

RULES = ('ratio3size0308', 'ratio3', 'none')


@pytest.fixture(scope='module')
def golden():
    return load_case('selective_search')


def load(path: Path, entry: dict) -> np.ndarray:
    image = np.asarray(Image.open(path).convert('RGB'))
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    assert digest == entry['sha256_rgb'], f'{path} has other pixels'
    return image


def check(image: np.ndarray, entry: dict, case: dict, arrays) -> None:
    name = entry['name']
    published = arrays[f'{name}/boxes_xywh']
    labels = felzenszwalb(image, case['scale'], case['sigma'],
                          case['min_size'])
    assert labels.max() + 1 == entry['n_initial_regions']
    if f'{name}/labels' in arrays:
        np.testing.assert_array_equal(labels, arrays[f'{name}/labels'])
    _, sizes = group_regions(*describe_regions(image, labels), labels.size)
    np.testing.assert_array_equal(sizes, arrays[f'{name}/sizes'])
    boxes = selective_search(image, case['scale'], case['sigma'],
                             case['min_size'])
    np.testing.assert_array_equal(boxes[:, :2], published[:, :2])
    np.testing.assert_array_equal(boxes[:, 2:] - boxes[:, :2],
                                  published[:, 2:])
    height, width = labels.shape
    for rule in RULES:
        np.testing.assert_array_equal(
            filter_proposals(boxes, width, height, rule),
            boxes[arrays[f'{name}/index_{rule}']], err_msg=rule)
    np.testing.assert_array_equal(
        filter_proposals(boxes, width, height, 'ratio3size0308post'),
        boxes[arrays[f'{name}/index_post']])


def test_images(golden):
    case, arrays = golden
    for entry in case['images']:
        check(load(GOLDEN / entry['file'], entry), entry, case, arrays)
    # All fall-backs of the filter were needed.
    used = {entry['post_rule_used'] for entry in case['images']}
    assert used == {*RULES, 'empty'}


def test_full_resolution(golden):
    case, arrays = golden
    folder = os.environ.get('MMLOC_PHOTOS')
    if folder is None:
        pytest.skip('MMLOC_PHOTOS names no folder with the photos')
    for entry in case['full_resolution']:
        check(load(Path(folder) / entry['source'], entry), entry, case,
              arrays)
