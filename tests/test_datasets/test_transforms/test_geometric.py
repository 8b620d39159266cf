# Copyright (c) mmloc contributors. All rights reserved.
import copy
import pickle

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import RandomCrop as MMDetCrop
from mmdet.datasets.transforms import RandomFlip as MMDetFlip
from mmdet.datasets.transforms import Resize as MMDetResize
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from mmloc.datasets.transforms import RandomFlip, RandomResizedCrop, Resize
from mmloc.resampling import DeferredImage

FLIPS = 'horizontal', 'vertical', 'diagonal'


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


def by_mmdet(results, region, size):
    """Crop and resize by mmdet's transforms."""
    top, left, height, width = region
    crop = MMDetCrop((width, height), allow_negative_crop=True)
    crop._rand_offset = lambda margin: (top, left)
    return MMDetResize(size)(crop(results))


@pytest.mark.parametrize('before', [
    dict(), dict(homography_matrix=np.eye(3)),
    dict(homography_matrix=np.array([[.3, 0, 5.1], [0, .7, 0], [0, 0, 1]])),
    dict(homography_matrix=np.diag(np.float32([.3, .7, 1]))),
])
@pytest.mark.parametrize('boxes', [[], [[10., 20., 30., 60.]]])
def test_what_follows_the_pixels_is_that_of_mmdet(before, boxes):
    """To the bit, with and without boxes, now and later."""
    def start(deferred):
        results = dict(sample(*boxes), **copy.deepcopy(before))
        if not boxes:
            results.pop('gt_bboxes')
        if deferred:
            results['img'] = DeferredImage(results['img'])
        return results

    crop = RandomResizedCrop((33, 21))
    for seed in range(8):
        np.random.seed(seed)
        region = crop.rand_crop_params(sample()['img'])
        expected = MMDetFlip(1., FLIPS[seed % 3])(
            by_mmdet(start(False), region, (33, 21)))
        for deferred in (False, True):
            np.random.seed(seed)
            ours = RandomFlip(1., FLIPS[seed % 3])(crop(start(deferred)))
            assert isinstance(ours['img'], DeferredImage) == deferred
            assert ours.keys() == expected.keys()
            for key in expected.keys() - {'img'}:
                value = getattr(expected[key], 'tensor', expected[key])
                np.testing.assert_array_equal(
                    getattr(ours[key], 'tensor', ours[key]), value)
            dtype = expected['homography_matrix'].dtype
            assert ours['homography_matrix'].dtype == dtype


def test_masks_go_mmdets_way():
    masks = BitmapMasks([sample()['img'][..., 0] > 99], 75, 100)
    flipped = [
        kind(1.)(dict(sample([1., 2., 9., 9.]), gt_masks=masks))
        for kind in (RandomFlip, MMDetFlip)
    ]
    ours, theirs = flipped
    np.testing.assert_array_equal(ours['gt_masks'].masks,
                                  theirs['gt_masks'].masks)
    np.testing.assert_array_equal(ours['img'], theirs['img'])
    np.testing.assert_array_equal(ours['gt_bboxes'].tensor,
                                  theirs['gt_bboxes'].tensor)


def test_backends_of_mmdet_make_the_pixels():
    image = DeferredImage(sample()['img'])
    for backend in ('pillow', 'cv2'):
        resize = Resize((40, 30), backend=backend)
        np.testing.assert_array_equal(
            resize(dict(img=image))['img'], resize(sample())['img'])


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
