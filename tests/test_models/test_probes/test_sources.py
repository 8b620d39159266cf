# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from mmdet.structures.bbox import bbox2roi

from mmloc.models import box_features, feature_maps
from mmloc.models.probes.sources import pool_boxes
from mmloc.registry import MODELS

from .tiny import BACKBONE, NECK, make_network, make_pretraining

BOXES = [torch.tensor([[8., 8., 40., 30.]]),
         torch.tensor([[0., 0., 64., 64.], [20., 4., 60., 24.]])]


# In the smallest image the last two maps have one place each.
@pytest.mark.parametrize('size', [(64, 48), (40, 21), (16, 12)])
def test_maps_are_named_by_their_strides(size):
    x = torch.randn(1, 3, *size)
    maps = feature_maps(make_network(neck=NECK), x)
    assert list(maps) == ['pixels', 'c2', 'c3', 'c4', 'c5', 'p2', 'p3', 'p4',
                          'p5']
    assert maps['pixels'] is x
    assert [maps[f'c{n}'].shape[1] for n in (2, 3, 4, 5)] == [4, 8, 16, 32]


def test_maps_of_a_backbone_that_ends_early():
    backbone = dict(BACKBONE, num_stages=3, strides=(1, 2, 2),
                    dilations=(1, 1, 1), out_indices=(2, ))
    maps = feature_maps(make_network(backbone=backbone), torch.randn(
        1, 3, 40, 40))
    assert list(maps) == ['pixels', 'c4']


def test_boxes_are_pooled_where_they_are():
    # The value of each place is its column.
    maps = dict(c3=torch.arange(8.).repeat(1, 1, 8, 1))
    pooled = pool_boxes(maps, 'c3', [torch.tensor([[16., 0., 32., 64.]])], 2)
    torch.testing.assert_close(
        pooled, torch.tensor([[2., 3.], [2., 3.]])[None, None])
    assert pool_boxes(maps, 'c3', [torch.zeros(0, 4)]).shape == (0, 1, 7, 7)


def test_vectors_of_maps_do_not_depend_on_other_images():
    model, x = make_network(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        both = box_features(model, x, BOXES, ['c4'])['c4']
        alone = box_features(model, x[1:], BOXES[1:], ['c4'])['c4']
    assert both.shape == (3, 16)
    torch.testing.assert_close(both[1:], alone)


def test_the_cosine_of_embeddings_is_the_mean_over_the_levels():
    model, x = make_pretraining(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = box_features(model, x, BOXES, ['head', 'embedding'])
    assert found['head'].shape == (3, 4 * 8)
    levels = found['embedding'].unflatten(1, (4, 6))
    torch.testing.assert_close(levels.norm(dim=2), torch.ones(3, 4))
    cosines = torch.cosine_similarity(levels[:1], levels[1:], dim=2)
    torch.testing.assert_close(
        torch.cosine_similarity(found['embedding'][:1],
                                found['embedding'][1:]), cosines.mean(dim=1))


def test_the_head_of_a_detector_shows_what_its_classifier_sees():
    model = make_network(neck=NECK)
    model.roi_head = MODELS.build(
        dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(
                    type='RoIAlign', output_size=7, sampling_ratio=0),
                out_channels=4,
                featmap_strides=[4, 8, 16, 32]),
            bbox_head=dict(
                type='Shared2FCBBoxHead',
                in_channels=4,
                fc_out_channels=8,
                num_classes=3))).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        vectors = box_features(model, x, BOXES, ['head'])['head']
        maps = feature_maps(model, x)
        scores = model.roi_head._bbox_forward(
            [maps[f'p{n}'] for n in (2, 3, 4, 5)], bbox2roi(BOXES))
        own = model.roi_head.bbox_head.fc_cls(vectors)
    torch.testing.assert_close(own, scores['cls_score'])


@pytest.mark.parametrize(('make', 'source', 'known'), [
    (make_network, 'p3', 'pixels, c2, c3, c4, c5'),
    (make_network, 'embedding', 'pixels, c2, c3, c4, c5'),
    (make_pretraining, 'c1', 'p5, head, embedding'),
])
def test_a_source_that_is_not_there(make, source, known):
    with pytest.raises(ValueError, match=f"no features '{source}'.*{known}"):
        box_features(make(), torch.randn(2, 3, 32, 32), BOXES, [source])
