# Copyright (c) mmloc contributors. All rights reserved.
import math

import pytest
import torch

from mmloc.evaluation import RoIKNNMetric, vote


def test_votes_are_weighted_by_similarity():
    # Cosines with the query: 1, 0.8 and 0.8.
    bank = torch.tensor([[2., 0.], [0.8, 0.6], [0.8, -0.6], [-1., 0.]])
    labels = torch.tensor([0, 1, 1, 2])
    query = torch.tensor([[3., 0.]])
    assert vote(query, bank, labels, 3, k=1) == 0
    # Two of 0.8 outvote one of 1 where exp(0.2 / t) < 2.
    border = 0.2 / math.log(2)
    for factor, winner in ((0.9, 0), (1.1, 1)):
        assert vote(query, bank, labels, 3, k=3,
                    temperature=factor * border) == winner
    # All vote if there are fewer than k.
    assert vote(query, bank, labels, 3, k=50, temperature=1.) == 1


def test_chunks_and_small_temperatures_change_nothing():
    bank, queries = torch.randn(30, 5), torch.randn(11, 5)
    labels = torch.randint(4, (30, ))
    whole = vote(queries, bank, labels, 4, k=1)
    assert vote(queries, bank, labels, 4, k=9, temperature=1e-4,
                chunk=3).equal(whole)


def _sample(split, labels, vectors):
    return dict(
        split=split,
        pred_instances=dict(
            labels=torch.tensor(labels, dtype=torch.long),
            c5=torch.tensor(vectors).reshape(-1, 2)))


SAMPLES = [
    _sample('bank', [0, 0], [[1., 0.], [1., 0.1]]),
    _sample('query', [0, 0, 1], [[1., 0.], [0., 1.], [0., 1.]]),
    _sample('bank', [], []),
    _sample('bank', [1], [[0., 1.]]),
    _sample('query', [], []),
]


def test_accuracies():
    metric = RoIKNNMetric(k=1)
    metric.process({}, SAMPLES[:2])
    metric.process({}, SAMPLES[2:])
    # What a sampler repeats to give each process as many images.
    metric.process({}, [_sample('query', [1] * 9, [[0., 1.]] * 9)])
    found = metric.evaluate(size=len(SAMPLES))
    assert found == pytest.approx({
        'roi_knn/majority_top1': 200 / 3,
        'roi_knn/c5_top1': 200 / 3,
        'roi_knn/c5_class_mean': (50 + 100) / 2,
    })
    assert not metric.results


def test_samples_have_to_be_of_a_split():
    with pytest.raises(ValueError, match="the split None, expected 'bank'"):
        RoIKNNMetric().process({}, [_sample(None, [0], [[1., 0.]])])


def test_both_splits_need_a_box():
    metric = RoIKNNMetric()
    metric.process({}, [SAMPLES[0], SAMPLES[4]])
    with pytest.raises(ValueError, match="split 'query' has a box"):
        metric.evaluate(size=2)


@pytest.mark.parametrize('cfg', [dict(k=0), dict(temperature=0)])
def test_settings_above_zero(cfg):
    with pytest.raises(ValueError, match='expected numbers above 0'):
        RoIKNNMetric(**cfg)
