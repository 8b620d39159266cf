# Copyright (c) mmloc contributors. All rights reserved.
import copy
import gc
import pickle
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from mmloc.utils.cli import explain
from mmloc.utils.flat_batch import FlatBatch

COMPLEX = torch.tensor([1 + 2j, 3j])
HWC = torch.arange(24, dtype=torch.uint8).view(2, 4, 3)
#: Dense tensors, whose strides stay.
DENSE = dict(
    plain=torch.arange(12.).view(3, 4),
    double=torch.arange(3, dtype=torch.float64),
    long=torch.tensor([2**40, -1]),
    flags=torch.tensor([True, False, True]),
    half=torch.ones(5, dtype=torch.float16),
    brain=torch.ones(1, dtype=torch.bfloat16),
    complex=COMPLEX,
    scalar=torch.tensor(7),
    empty=torch.zeros(0, 4),
    channels_last=HWC.permute(2, 0, 1),
    slice_of_more=torch.arange(20)[5:9],
    one_row=torch.arange(20.).view(2, 10)[:1, :4],
)
#: Others, of which only the values stay.
LOOSE = dict(
    gaps=torch.arange(10)[::3],
    expanded=torch.tensor([[1.], [2.]]).expand(2, 3),
    # On the memory of `complex`, but for a bit.
    conjugate=COMPLEX.conj(),
    negative=COMPLEX.conj().imag,
)


def sample(seed=0):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(3, 4, generator=generator)
    return DetDataSample(
        metainfo=dict(
            img_path=f'{seed}.jpg', drawn=np.arange(4, dtype=np.float32)),
        gt_instances=InstanceData(
            bboxes=HorizontalBoxes(boxes, clone=False), labels=torch.arange(3),
            same=boxes))


def test_tensors_stay_what_they_are():
    out = FlatBatch.pack(DENSE | LOOSE).unpack()
    assert list(out) == [*DENSE, *LOOSE]
    for key, expected in (DENSE | LOOSE).items():
        assert type(out[key]) is torch.Tensor
        assert out[key].dtype == expected.dtype
        assert out[key].shape == expected.shape
        assert torch.equal(out[key], expected), key
        # Where vector instructions like it.
        assert out[key].storage_offset() * out[key].itemsize % 64 == 0
        if key in DENSE:
            assert out[key].stride() == expected.stride(), key


def test_skeleton_stays_what_it_is():
    batch = FlatBatch.pack(dict(samples=[sample(0), sample(1)], more=(1, 'x')))
    out = batch.unpack()
    assert out['more'] == (1, 'x')
    for seed, found in enumerate(out['samples']):
        expected = sample(seed)
        assert type(found) is DetDataSample
        assert set(found.metainfo_keys()) == set(expected.metainfo_keys())
        assert found.img_path == expected.img_path
        np.testing.assert_array_equal(found.drawn, expected.drawn)
        instances = found.gt_instances
        assert type(instances.bboxes) is HorizontalBoxes
        assert torch.equal(instances.bboxes.tensor, instances.same)
        assert torch.equal(instances.same, expected.gt_instances.same)
        assert torch.equal(instances.labels, torch.arange(3))
        # One object in two places, and no other.
        assert instances.bboxes.tensor is instances.same
        assert instances.labels is not instances.same


def test_views_of_the_same_memory_are_stored_once():
    x = torch.arange(1000.)
    out = FlatBatch.pack(dict(a=x, b=x[:], c=x[:500], d=x.view(10, 100)))
    assert len(out.buffer) < 3 * x.nbytes
    out = out.unpack()
    assert out['a'].data_ptr() == out['b'].data_ptr()
    assert torch.equal(out['c'], x[:500])
    assert torch.equal(out['d'], x.view(10, 100))


def test_writing_to_one_leaves_the_others():
    names = list(DENSE)
    for name in names:
        out = FlatBatch.pack(DENSE).unpack()
        out[name].zero_()
        for other in set(names) - {name}:
            assert torch.equal(out[other], DENSE[other]), (name, other)


def test_autograd_takes_each_for_itself():
    out = FlatBatch.pack(dict(a=torch.ones(3), b=torch.ones(3))).unpack()
    weight = torch.ones(3, requires_grad=True)
    loss = (weight * out['a']).sum()
    out['b'].zero_()
    loss.backward()
    assert torch.equal(weight.grad, torch.ones(3))
    out['a'].requires_grad_()
    assert not out['b'].requires_grad


def test_it_reads_as_the_mapping():
    batch = FlatBatch.pack(dict(inputs=[HWC, HWC + 1], number=3))
    assert not batch.opened
    assert '2 tensors' in repr(batch)
    assert set(batch) == {'inputs', 'number'}
    assert len(batch) == 2
    assert batch['number'] == 3
    assert batch.get('none') is None
    assert 'inputs' in batch
    assert torch.equal(batch['inputs'][1], HWC + 1)
    assert batch.opened
    assert batch['inputs'] is batch['inputs']
    with pytest.raises(KeyError):
        batch['none']


@pytest.mark.parametrize('move', [
    lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
@pytest.mark.parametrize('change', [True, False])
def test_it_can_be_copied(move, change):
    batch = FlatBatch.pack(dict(x=[torch.arange(3)], y=1))
    if change:
        batch['x'].append(torch.arange(2))
    moved = move(batch)
    moved['x'][0].zero_()
    assert len(moved['x']) == 1 + change
    assert torch.equal(batch['x'][0], torch.arange(3))


def test_each_unpacking_is_new():
    batch = FlatBatch.pack(dict(samples=[sample()]))
    first, second = batch.unpack()['samples'], batch.unpack()['samples']
    del first[0].img_path
    first[0].drawn[:] = 0
    assert second[0].img_path == '0.jpg'
    assert second[0].drawn.any()
    on_device = batch.unpack('meta')['samples'][0].gt_instances
    assert on_device.labels.is_meta
    assert on_device.bboxes.tensor.is_meta


class Copies(TorchDispatchMode):
    """Count what moves a tensor."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 'copy' in func.overloadpacket.__name__
        return func(*args, **(kwargs or {}))


def test_one_copy_takes_all_to_the_device():
    batch = FlatBatch.pack(dict(DENSE, samples=[sample(i) for i in range(4)]))
    with Copies() as copies:
        out = batch.unpack('meta')
    assert all(out[key].is_meta for key in DENSE)
    assert copies.count == 1


def test_memory_is_given_back_at_once():
    """Not when Python looks for circles of references, batches later."""
    gc.collect()
    gc.disable()
    try:
        source = torch.ones(3)
        batch = FlatBatch.pack(dict(x=[source, HWC], samples=[sample()]))
        out = batch.unpack()
        held = [weakref.ref(x) for x in (source, batch, *out['x'])]
        del source, batch, out
        assert [x() for x in held] == [None] * 4
    finally:
        gc.enable()


def test_words_are_found_without_unpacking():
    batch = FlatBatch.pack(dict(samples=[sample()]))
    assert batch.mentions('drawn')
    assert batch.mentions('gt_instances')
    assert not batch.mentions('unreadable')
    assert not batch.opened


def test_no_tensor_at_all():
    assert dict(FlatBatch.pack(dict(x=1))) == dict(x=1)
    assert dict(FlatBatch.pack({})) == {}


@pytest.mark.parametrize(('wrong', 'sentence'), [
    ([torch.ones(2)], 'of type list, expected a dict'),
    (dict(x=lambda: 0), 'cannot be sent as a batch .*lambda'),
    (dict(x=(i for i in 'ab')), 'cannot be sent as a batch .*generator'),
    (dict(x=torch.ones(2, 3, requires_grad=True)),
     r'shape \(2, 3\) .*requires_grad=True'),
    (dict(x=torch.ones(2, device='meta')), "device 'meta'"),
    (dict(x=torch.eye(2).to_sparse()), 'torch.sparse_coo'),
])
def test_what_is_refused(wrong, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        FlatBatch.pack(wrong)


def in_worker(batch):
    """Pack in a loader's worker; the batch again, or what was said of it."""
    try:
        loader = DataLoader([0], num_workers=1, batch_size=None,
                            collate_fn=lambda _: FlatBatch.pack(batch))
        return dict(*loader)
    except RuntimeError as error:
        return explain(error)


def test_too_little_shared_memory_is_said():
    # More than there is in any machine, and nothing.
    huge = torch.empty(1, dtype=torch.uint8).expand(2**50)
    sentence = in_worker(dict(x=huge))
    assert re.match(r'There is no shared memory left for a batch of '
                    r'1125899906842624 bytes \(.*--shm-size', sentence)
    # PyTorch leaves the name of what it did not get.
    name = Path('/dev/shm', re.search(r'</(torch_\w+)>', sentence)[1])
    name.unlink(missing_ok=True)
    assert in_worker(dict(x=torch.ones(2, 0), y='y'))['x'].shape == (2, 0)


def test_subclasses_keep_their_class():
    out = FlatBatch.pack(dict(x=nn.Parameter(torch.ones(2)))).unpack()
    assert type(out['x']) is nn.Parameter
    assert out['x'].requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('opened', [True, False])
def test_goes_to_the_device_without_waiting(opened):
    batch = FlatBatch.pack(dict(DENSE, samples=[sample()]))
    if opened:
        batch['plain'].add_(1)
    pinned = batch.pin_memory()
    assert pinned.buffer.is_pinned()
    torch.cuda.set_sync_debug_mode('error')
    try:
        out = pinned.unpack('cuda', non_blocking=True)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    for key, expected in DENSE.items():
        assert out[key].is_cuda
        assert out[key].stride() == expected.stride()
        added = opened and key == 'plain'
        assert torch.equal(out[key].cpu(), expected + added), key
    assert out['samples'][0].gt_instances.bboxes.tensor.is_cuda
