# Copyright (c) mmloc contributors. All rights reserved.
import torch

from mmloc.models.utils import assign_levels, flatten_ids, match_by_id


def square(side):
    return [10., 20., 10. + side, 20. + side]


def test_matches_need_equal_image_and_id():
    image_a, id_a = flatten_ids([torch.tensor([1, 2]), torch.tensor([1])])
    image_b, id_b = flatten_ids([torch.tensor([2]), torch.tensor([1, 1])])
    assert image_a.tolist() == [0, 0, 1]
    match = match_by_id(image_a, id_a, image_b, id_b)
    assert match.int().tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_levels_by_size():
    sides = [1., 48., 48.1, 96., 96.1, 192., 192.1, 224., 224.1]
    levels = assign_levels(torch.tensor([square(side) for side in sides]))
    assert levels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1]
    assert levels.dtype == torch.int64


def test_size_is_the_root_of_the_area():
    boxes = torch.tensor([[0., 0., 24., 96.], [0., 0., 24., 97.]])
    assert assign_levels(boxes).tolist() == [0, 1]


def test_thresholds_themselves_are_included():
    for side in range(1, 225):
        assert assign_levels(
            torch.tensor([square(float(side))]), thresholds=(side, )) == 0


def test_inclusive_counts_the_last_pixel():
    boxes = torch.tensor([square(47.), square(48.), [0.9, 0., 47.9, 47.]])
    assert assign_levels(boxes, inclusive=True).tolist() == [0, 1, 0]


def test_no_boxes():
    assert assign_levels(torch.zeros(0, 4)).shape == (0, )
