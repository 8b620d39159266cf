# Copyright (c) mmloc contributors. All rights reserved.
"""What the heads measure, against cases computed by hand."""
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmloc.models.heads import InsLocHead, SoCoHead


def samples(*ids):
    return [
        DetDataSample(gt_instances=InstanceData(labels=torch.tensor(x)))
        for x in ids
    ]


def make_insloc():
    head = InsLocHead(dict(
        type='mmloc.FeatureQueue', num_levels=2, channels=4, length=6))
    head.queue.features.zero_()
    head.queue.features[0, 0] = 1  # all of level 0 are the first axis
    head.queue.features[1, 3] = 1
    return head


def test_insloc():
    head = make_insloc()
    axes = torch.eye(4)
    query = [3 * axes[:2], axes[[2, 2]]]
    key = [axes[:2], axes[[2, 1]]]
    args = query, key, samples([0], [0]), samples([0], [0])
    before = {k: v.clone() for k, v in head.state_dict().items()}
    found = {k: v.tolist() for k, v in head.statistics(*args).items()}
    assert all(torch.equal(v, before[k])
               for k, v in head.state_dict().items())
    assert found.pop('rank') == pytest.approx([2, 1])
    assert found == dict(
        std=[0.5, 0], max_rank=[2], pos_sim=[1, 0.5], neg_sim=[0.5, 0],
        queue_age=[3])


def test_insloc_pairs_by_id():
    axes = torch.eye(4)
    found = make_insloc().statistics(
        [axes[:3]] * 2, [axes[[1, 0]]] * 2, samples([5, 6, 7]),
        samples([6, 5]))
    assert found['pos_sim'].tolist() == [1, 1]


def test_soco():
    axes = torch.eye(4)
    ids = torch.tensor([0]), torch.tensor([0])
    regions = [torch.zeros(1, 4)] * 2, ids
    found = SoCoHead(thresholds=None).statistics(
        [axes[:2]], [axes[[0, 0]]], regions, regions)
    found = {k: v.tolist() for k, v in found.items()}
    assert found.pop('rank') == pytest.approx([2])
    # Matches are (0, 0) and (1, 1), other images (0, 1) and (1, 0).
    assert found == dict(std=[0.5], max_rank=[2], target_std=[0],
                         pos_sim=[0.5], neg_sim=[0.5])


def test_soco_leaves_regions_without_a_level_out():
    axes = torch.eye(4)
    boxes = [torch.tensor([[0., 0., side, side]]) for side in (30, 40, 900)]
    regions = boxes, [torch.zeros(1)] * 3
    found = SoCoHead().statistics(
        [axes[:3]], [axes[[0, 0, 3]]], regions, regions)
    assert found['max_rank'].item() == 2
    assert found['pos_sim'].item() == 0.5


def test_nothing_to_compare():
    one = torch.eye(4)[:1]
    assert make_insloc().statistics(
        [one] * 2, [one] * 2, samples([0]), samples([0])) == {}
    regions = [torch.zeros(1, 4)], [torch.zeros(1)]
    assert SoCoHead(thresholds=None).statistics(
        [one], [one], regions, regions) == {}
