# Copyright (c) mmloc contributors. All rights reserved.
"""Keys and queue of InsLoc over two real gloo processes."""
import pytest
import torch
from mmengine.dist import all_gather_object, get_rank

from ..test_models.test_insloc import build, make_batch

# Boxes of the images of each rank.
COUNTS = ((1, 2, 0), (1, 1, 3, 1))


def make_key(rank):
    """Key images and samples of a rank, in float64."""
    inputs, samples = make_batch(COUNTS[rank], seed=rank)
    for sample in samples['key']:
        instances = sample.gt_instances
        instances.bboxes = instances.bboxes.double()
    return inputs['key'].double(), samples['key']


def encode_directly(model, x, samples):
    boxes = [[sample.gt_instances.bboxes for sample in samples]]
    views = [(x, [boxes * model.num_levels])]
    return model.encode(model.target.module, views)[0][0]


def check_keys_and_queue(bn_splits):
    rank = get_rank()
    # In eval mode the embedding of an image does not depend on its batch.
    model = build(queue_length=16, bn_splits=bn_splits).double().eval()
    # Ranks agree on a permutation, whatever their own seeds.
    torch.manual_seed(rank)
    with torch.no_grad():
        keys = torch.stack(model.encode_key(*make_key(rank)), dim=1)
        direct = [
            torch.stack(encode_directly(model, *make_key(other)), dim=1)
            for other in range(len(COUNTS))
        ]
    torch.testing.assert_close(keys, direct[rank], rtol=0, atol=1e-12)
    before = model.head.queue.features.clone()
    model.head.queue.enqueue(keys)
    queue = model.head.queue.state_dict()
    num = sum(map(sum, COUNTS))
    assert queue['pointer'].tolist() == [num]
    torch.testing.assert_close(
        queue['features'][..., :num],
        torch.cat(direct).permute(1, 2, 0),
        rtol=0,
        atol=1e-12)
    assert torch.equal(queue['features'][..., num:], before[..., num:])
    for other in all_gather_object(queue):
        assert all(torch.equal(queue[name], other[name]) for name in queue)


@pytest.mark.parametrize('bn_splits', [1, 2])
def test_keys_return_to_their_images_and_fill_equal_queues(
        bn_splits, in_processes):
    in_processes(len(COUNTS), check_keys_and_queue, bn_splits)
