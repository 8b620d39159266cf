# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.models.probes.patch_matching import best_window, window_similarity


@pytest.mark.parametrize('mirrored', [False, True])
def test_a_window_is_found_again(mirrored):
    cells = torch.randn(5, 12, 16)
    template = 3 * cells[:, 4:8, 9:13]
    scores = window_similarity(cells,
                               template.flip(-1) if mirrored else template)
    assert scores.shape == (9, 13)
    assert divmod(scores.argmax().item(), 13) == (4, 9)
    assert scores.max() == pytest.approx(1)
    assert scores.min() >= -1


def test_similarity_is_a_cosine():
    cells, template = torch.randn(5, 6, 6), torch.randn(5, 3, 3)
    window = cells[:, 1:4, 2:5].flatten()
    expected = max(
        torch.cosine_similarity(window, kind.flatten(), dim=0)
        for kind in (template, template.flip(-1)))
    assert window_similarity(cells, template)[1, 2] == pytest.approx(
        expected.item(), abs=1e-5)


def test_an_empty_window_is_like_nothing():
    assert not window_similarity(torch.zeros(2, 4, 4), torch.ones(2, 2,
                                                                  2)).any()


def test_a_box_is_found_in_pixels():
    feature_map = torch.zeros(1, 20, 30)
    feature_map[:, 6:10, 12:20] = 1 + torch.rand(1, 4, 8)
    template = feature_map[:, 6:10, 12:20:2]
    score, box = best_window(feature_map, 4, template, (32, 16), (80, 120))
    assert score > 0.95
    assert box == pytest.approx([48, 24, 80, 40])


def test_the_margin_of_a_map_beyond_the_image_is_left_out():
    feature_map = torch.rand(3, 4, 4)
    template = feature_map[:, 2:, 2:]
    whole = best_window(feature_map, 32, template, (64, 64), (128, 128))
    assert whole[1] == pytest.approx([64, 64, 128, 128])
    cut = best_window(feature_map, 32, template, (64, 64), (100, 100))
    assert max(cut[1]) <= 112


@pytest.mark.parametrize('size', [(200, 20), (20, 200), (1e5, 1e5)])
def test_a_box_larger_than_the_image_is_nowhere(size):
    score, _ = best_window(
        torch.rand(3, 10, 10), 8, torch.rand(3, 7, 7), size, (80, 80))
    assert score == -torch.inf
