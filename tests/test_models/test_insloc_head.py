# Copyright (c) mmloc contributors. All rights reserved.
import math

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmloc.models import InsLocHead, match_by_id

TEMPERATURE = 0.5


def make_head(levels: int = 1, **kwargs) -> InsLocHead:
    head = InsLocHead(
        queue=dict(
            type='mmloc.FeatureQueue',
            num_levels=levels,
            channels=2,
            length=3),
        temperature=TEMPERATURE,
        **kwargs)
    head.queue.features.copy_(
        torch.tensor([[0., 1., -1.], [1., 0., 0.]]).expand(levels, 2, 3))
    return head


def samples(*ids) -> list:
    return [
        DetDataSample(
            gt_instances=InstanceData(
                labels=torch.tensor(labels, dtype=torch.long)))
        for labels in ids
    ]


def by_hand(positive: float, negatives: list) -> float:
    logits = [x / TEMPERATURE for x in [positive, *negatives]]
    return math.log(sum(math.exp(x) for x in logits)) - logits[0]


def test_loss_by_hand():
    head = make_head()
    query = torch.tensor([[2., 0.]], requires_grad=True)
    key = torch.tensor([[3., 3.]])
    losses = head.loss([query], [key], samples([0]), samples([0]))
    root = math.sqrt(0.5)
    assert losses['loss_level0'].item() == pytest.approx(
        by_hand(root, [0., 1., -1.]))
    # The second entry of the queue is nearer to the query than the key.
    assert losses['acc_level0'].item() == 0
    losses['loss_level0'].backward()
    assert query.grad.abs().sum() > 0
    # The normalised key went into the queue after the loss.
    torch.testing.assert_close(head.queue.features[0, :, 0],
                               torch.tensor([root, root]))
    assert head.queue.pointer.item() == 1


def test_levels_have_weights_and_names():
    head = make_head(2, loss_weights=[1., 3.], level_names=['p2', 'p3'])
    embedding = torch.tensor([[1., 0.]])
    losses = head.loss([embedding] * 2, [embedding] * 2, samples([0]),
                       samples([0]))
    assert list(losses) == ['loss_p2', 'acc_p2', 'loss_p3', 'acc_p3']
    assert losses['loss_p3'].item() == pytest.approx(
        3 * losses['loss_p2'].item())
    assert losses['acc_p2'].item() == 100


def test_order_of_instances_and_images_does_not_matter():
    torch.manual_seed(0)
    query, key = torch.randn(4, 2), torch.randn(4, 2)
    reference = make_head().loss([query], [key], samples([0, 1], [0, 1]),
                                 samples([0, 1], [0, 1]))
    instances = [1, 0, 3, 2]
    permuted = make_head().loss([query], [key[instances]],
                                samples([0, 1], [0, 1]),
                                samples([1, 0], [1, 0]))
    images = [2, 3, 0, 1]
    moved = make_head().loss([query[images]], [key[images]],
                             samples([0, 1], [0, 1]), samples([0, 1], [0, 1]))
    for losses in (permuted, moved):
        torch.testing.assert_close(losses['loss_level0'],
                                   reference['loss_level0'])


def test_instances_without_partner_have_no_part():
    torch.manual_seed(0)
    query, key = torch.randn(2, 2), torch.randn(3, 2)
    losses = make_head().loss([query], [key], samples([5, 6]),
                              samples([7, 6, 8]))
    alone = make_head().loss([query[1:]], [key[1:2]], samples([6]),
                             samples([6]))
    torch.testing.assert_close(losses['loss_level0'], alone['loss_level0'])


@pytest.mark.parametrize(('num_query', 'num_key'), [(0, 0), (0, 2), (2, 0)])
def test_no_pair_gives_zero_with_gradient(num_query, num_key):
    query = torch.ones(num_query, 2, requires_grad=True)
    losses = make_head().loss([query], [torch.ones(num_key, 2)],
                              samples([0, 1][:num_query]),
                              samples([0, 1][:num_key]))
    losses['loss_level0'].backward()
    assert losses['loss_level0'].item() == 0
    assert (query.grad == 0).all()


def test_half_precision_is_computed_in_float32():
    with torch.autocast('cpu', dtype=torch.bfloat16):
        query = torch.randn(2, 2).bfloat16()
        losses = make_head().loss([query], [query], samples([0], [0]),
                                  samples([0], [0]))
    assert losses['loss_level0'].dtype == torch.float32


def test_matching():
    match = match_by_id(
        torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor([0, 1]),
        torch.tensor([1, 0]))
    assert match.tolist() == [[False, False], [True, False], [False, True]]


def test_rejects_bad_arguments():
    with pytest.raises(ValueError, match='must be positive'):
        InsLocHead(
            queue=dict(
                type='mmloc.FeatureQueue',
                num_levels=1,
                channels=2,
                length=3),
            temperature=0)
    with pytest.raises(ValueError, match='loss_weights has 1 entries'):
        make_head(2, loss_weights=[1.])
