# Copyright (c) mmloc contributors. All rights reserved.
import pickle

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Resize
from mmdet.structures.bbox import HorizontalBoxes
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from mmloc.datasets.transforms import RandomResizedCrop


def sample(*boxes):
    img = np.random.RandomState(0).randint(0, 256, (75, 100, 3), np.uint8)
    return dict(
        img=img,
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes).reshape(-1, 4)),
        gt_bboxes_labels=np.arange(1, 1 + len(boxes)))


def test_pixels_are_those_of_torchvision():
    """For the crop, and for the whole image as the configs resize it."""
    crop = RandomResizedCrop(48, crop_ratio_range=(.2, 1))
    for seed in range(5):
        img = Image.fromarray(sample()['img'][..., ::-1].copy())
        np.random.seed(seed)
        params = crop.rand_crop_params(sample()['img'])
        expected = functional.resized_crop(
            img, *params, (48, 48), InterpolationMode.BILINEAR)
        np.random.seed(seed)
        ours = crop(sample())['img']
        np.testing.assert_array_equal(ours[..., ::-1], np.asarray(expected))
    ours = Resize((48, 48), keep_ratio=False, backend='pillow')(sample())
    np.testing.assert_array_equal(
        ours['img'][..., ::-1],
        np.asarray(
            functional.resize(img, (48, 48), InterpolationMode.BILINEAR)))


def test_boxes_and_homography_follow():
    crop = RandomResizedCrop((40, 30))
    crop.rand_crop_params = lambda img: (10, 20, 60, 80)
    results = crop(
        sample([30., 20., 50., 60.], [0., 0., 15., 75.],
               [90., 30., 100., 99.]))
    # The second lies left of the crop, the third is cut at its border.
    np.testing.assert_allclose(results['gt_bboxes'].numpy(),
                               [[5, 5, 15, 25], [35, 10, 40, 30]])
    assert results['gt_bboxes_labels'].tolist() == [1, 3]
    np.testing.assert_allclose(results['homography_matrix'],
                               [[.5, 0, -10], [0, .5, -5], [0, 0, 1]])
    assert results['img_shape'] == results['img'].shape[:2] == (30, 40)


def test_draws_follow_the_seed_and_the_range():
    crop = pickle.loads(pickle.dumps(RandomResizedCrop(8, (.5, .7))))
    areas = []
    for seed in (0, 0, *range(40)):
        np.random.seed(seed)
        width, height = crop(sample())['scale_factor']
        areas.append(64 / (width * height * 75 * 100))
    assert areas[0] == areas[1] != areas[4]
    # Sides are whole numbers.
    assert .48 < min(areas) < .55 < .65 < max(areas) < .72


def test_rejects_an_empty_range():
    with pytest.raises(ValueError, match='crop_ratio_range'):
        RandomResizedCrop(8, crop_ratio_range=(1, .5))
