# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from torch.nn.functional import cosine_similarity

from mmloc.models import SoCoHead

SMALL, LARGE = [0., 0., 20., 20.], [0., 0., 90., 90.]


def regions(boxes, ids):
    """Boxes and ids of images, as the algorithm hands them over."""
    return ([torch.tensor(x).reshape(-1, 4) for x in boxes],
            [torch.tensor(x).long() for x in ids])


def features(num_levels, num, seed):
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(num_levels, num, 5, generator=generator))


def test_pairs_of_equal_ids_on_their_own_levels():
    a = regions([[SMALL, LARGE]], [[7, 8]])
    b = regions([[LARGE, LARGE]], [[8, 7]])
    prediction, projection = features(2, 2, 0), features(2, 2, 1)
    loss = SoCoHead((48, 96)).loss(prediction, projection, a, b)
    cosines = [
        cosine_similarity(prediction[0][0], projection[1][1], dim=0),
        cosine_similarity(prediction[1][1], projection[1][0], dim=0)
    ]
    torch.testing.assert_close(loss, -sum(cosines))


def test_mean_over_the_matches_of_an_image_then_over_images():
    # Three matches in the first image, where id 1 is repeated; none in the
    # second; one in the third.
    a = regions([[SMALL, SMALL], [SMALL], [SMALL]], [[1, 2], [1], [5]])
    b = regions([[SMALL, SMALL, SMALL], [SMALL], [SMALL]],
                [[1, 1, 2], [3], [5]])
    prediction, projection = features(1, 4, 0), features(1, 5, 1)
    loss = SoCoHead((48, )).loss(prediction, projection, a, b)
    p, z = prediction[0], projection[0]
    first = sum(
        cosine_similarity(p[i], z[j], dim=0)
        for i, j in ((0, 0), (0, 1), (1, 2))) / 3
    third = cosine_similarity(p[3], z[4], dim=0)
    torch.testing.assert_close(loss, -2 * (first + third) / 3)


def test_boxes_above_the_last_threshold_match_nothing():
    a = regions([[LARGE]], [[1]])
    features_a = features(1, 1, 0)
    assert SoCoHead((48, )).loss(features_a, features_a, a, a) == 0
    without_limit = SoCoHead(None).loss(features_a, features_a, a, a)
    torch.testing.assert_close(without_limit, torch.tensor(-2.))


def test_one_tensor_serves_all_levels():
    a = regions([[SMALL, LARGE]], [[1, 2]])
    prediction, projection = features(1, 2, 0), features(1, 2, 1)
    head = SoCoHead((48, 96))
    torch.testing.assert_close(
        head.loss(prediction, projection, a, a),
        head.loss(prediction * 2, projection * 2, a, a))


def test_order_of_boxes_does_not_matter():
    boxes, ids = [SMALL, LARGE, SMALL], [1, 2, 3]
    order = [2, 0, 1]
    prediction, projection = features(2, 3, 0), features(2, 3, 1)
    head = SoCoHead((48, 96))
    a = regions([boxes], [ids])
    shuffled = regions([[boxes[i] for i in order]], [[ids[i] for i in order]])
    torch.testing.assert_close(
        head.loss([x[order] for x in prediction], projection, shuffled, a),
        head.loss(prediction, projection, a, a))


def test_no_boxes_at_all():
    a = regions([[], []], [[], []])
    assert SoCoHead().loss(features(4, 0, 0), features(4, 0, 1), a, a) == 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_runs_in_float32_under_autocast(dtype):
    a = regions([[SMALL]], [[1]])
    half = [x.to(dtype) for x in features(1, 1, 0)]
    with torch.autocast('cpu', dtype=dtype):
        loss = SoCoHead((48, )).loss(half, half, a, a)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-2, abs=1e-5)
