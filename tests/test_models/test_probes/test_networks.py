# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes, bbox_overlaps
from mmengine.structures import InstanceData

from mmloc.registry import MODELS

from .tiny import BACKBONE, PREPROCESSOR, make_network


def _sample(boxes, img_shape=(64, 64)):
    boxes = HorizontalBoxes(torch.tensor(boxes).reshape(-1, 4))
    return DetDataSample(
        metainfo=dict(img_shape=img_shape),
        gt_instances=InstanceData(
            bboxes=boxes, labels=torch.arange(len(boxes))))


def _pixels(image):
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def test_boxes_of_each_image_are_described():
    model = make_network(sources=('c3', 'c5'))
    data = dict(
        inputs=[torch.randint(256, (3, 64, 64)).byte() for _ in range(3)],
        data_samples=[_sample([[0., 0., 20., 30.]]), _sample([]),
                      _sample([[9., 9., 30., 30.], [0., 0., 64., 64.]])])
    with torch.no_grad():
        found = [sample.pred_instances for sample in model.test_step(data)]
    assert [len(item) for item in found] == [1, 0, 2]
    assert found[2].c3.shape == (2, 8)
    assert found[2].c5.shape == (2, 32)
    assert found[2].labels.tolist() == [0, 1]


@pytest.mark.parametrize('kind', ['BoxFeatureExtractor', 'PatchLocalizer'])
def test_nothing_is_trained(kind):
    model = make_network(type=f'mmloc.{kind}')
    with pytest.raises(ValueError, match=f'{kind} is not trained'):
        model(torch.zeros(1, 3, 32, 32), [_sample([])], mode='loss')


@pytest.fixture
def scene():
    """A smooth image, a box in it, and the patch twice as large elsewhere."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (8, 12, 3), np.uint8), (96, 64))
    box = [40., 20., 64., 44.]
    query = rng.integers(0, 256, (80, 80, 3), np.uint8)
    query[10:58, 20:68] = cv2.resize(image[20:44, 40:64], (48, 48))
    return image, box, query, [20., 10., 68., 58.]


def _localize(scene, **cfg):
    image, box, query, query_box = scene
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='mmloc.PatchLocalizer', data_preprocessor=PREPROCESSOR,
             backbone=BACKBONE, **cfg)).eval()
    data = dict(
        inputs=dict(target=[_pixels(image)], pasted=[_pixels(query)]),
        data_samples=dict(
            target=[_sample([box], image.shape[:2])],
            pasted=[_sample([query_box], query.shape[:2])]))
    with torch.no_grad():
        sample, = model.test_step(data)
    return sample.matches, torch.tensor([box])


def test_pixels_find_the_patch_by_both_sizes(scene):
    matches, box = _localize(scene, sources=('pixels', 'c2'))
    assert set(matches) == {'pasted_pixels', 'pasted_c2'}
    assert (bbox_overlaps(matches['pasted_pixels'], box) > 0.8).all()
    assert matches['pasted_c2'].shape == (2, 4)


def test_a_map_that_is_not_there(scene):
    with pytest.raises(ValueError, match=r"sources is \('p3',\).*c2, c3"):
        _localize(scene, sources=('p3', ))


def test_the_true_size_has_to_be_tried(scene):
    with pytest.raises(ValueError, match='expected 1, the true size'):
        _localize(scene, size_factors=(0.5, 2))
