# Copyright (c) mmloc contributors. All rights reserved.
import pickle

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import RandomFlip as MMDetFlip
from mmdet.structures.bbox import HorizontalBoxes
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from mmloc.datasets.transforms import RandomFlip, RandomResizedCrop, Resize


def sample(*boxes):
    img = np.random.RandomState(0).randint(0, 256, (75, 100, 3), np.uint8)
    return dict(
        img=img,
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes).reshape(-1, 4)),
        gt_bboxes_labels=np.arange(1, 1 + len(boxes)))


@pytest.mark.parametrize(('backend', 'most', 'mean'), [('pillow', 0, 0),
                                                       ('torch', 1, .05)])
def test_pixels_are_those_of_torchvision_in_pillow(backend, most, mean):
    """For crops, and for the whole image as the configs resize it."""
    crop = RandomResizedCrop(48, crop_ratio_range=(.2, 1), backend=backend)
    whole = Resize((48, 48), backend=backend)
    img = Image.fromarray(sample()['img'][..., ::-1].copy())
    for seed in range(5):
        np.random.seed(seed)
        params = crop.rand_crop_params(sample()['img'])
        np.random.seed(seed)
        ours = crop(sample())['img'], whole(sample())['img']
        expected = (functional.resized_crop(img, *params, (48, 48),
                                            InterpolationMode.BILINEAR),
                    functional.resize(img, (48, 48),
                                      InterpolationMode.BILINEAR))
        for one, other in zip(ours, expected):
            error = one[..., ::-1].astype(int) - np.asarray(other)
            assert abs(error).max() <= most
            # Nor is it lighter or darker on the whole.
            assert abs(error.mean()) <= mean


def test_keeps_the_ratio():
    results = Resize((60, 60), keep_ratio=True)(sample())
    assert results['img'].shape == (45, 60, 3)
    assert results['scale_factor'] == (.6, .6)


@pytest.mark.parametrize('kwargs', [
    dict(prob=.5),
    dict(prob=.7, direction=['horizontal', 'vertical', 'diagonal']),
    dict(prob=[.2, .5], direction=['vertical', 'horizontal']),
])
def test_flips_are_those_of_mmdet(kwargs):
    for seed in range(12):
        flipped = []
        for kind in (RandomFlip, MMDetFlip):
            np.random.seed(seed)
            flipped.append(kind(**kwargs)(sample([10., 20., 30., 60.])))
        ours, theirs = flipped
        np.testing.assert_array_equal(ours['img'], theirs['img'])
        assert ours['img'].flags.c_contiguous
        assert ours['flip_direction'] == theirs['flip_direction']
        assert (ours['gt_bboxes'].tensor == theirs['gt_bboxes'].tensor).all()


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
