# Copyright (c) mmloc contributors. All rights reserved.
"""The step never waits for the device: nothing in it reads a value back.

Reads show on a CPU too: each goes through an operator whose result, or whose
shape, depends on values. A GPU, if there is one, is asked itself.
"""
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.utils._python_dispatch import TorchDispatchMode

from mmloc.engine import LARS

from . import test_insloc, test_soco

#: Operators that a CUDA device can only run after a look at its values.
READS = ('_local_scalar_dense', 'nonzero', 'masked_select', 'unique',
         'is_nonzero', 'equal', 'bincount')


class NoReads(TorchDispatchMode):
    """Refuse operators that need values on the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name in ('index', 'index_put',
                                      'index_put_') else ()
        masks = any(x is not None and x.dtype == torch.bool for x in indices)
        counts = name == 'repeat_interleave' and 'Tensor' in str(func)
        if name.startswith(READS) or masks or counts:
            raise RuntimeError(f'{func} reads from the device')
        return func(*args, **(kwargs or {}))


@contextmanager
def no_reads(device: str):
    if device == 'cuda':
        torch.cuda.set_sync_debug_mode('error')
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode('default')
        return

    def refuse(self, *args):
        raise RuntimeError('a whole tensor is read from the device')

    with NoReads(), patch.multiple(
            torch.Tensor, tolist=refuse, numpy=refuse, cpu=refuse):
        yield


@pytest.mark.parametrize('wrong', [
    lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.any()),
    lambda x: (x > 0).nonzero(), lambda x: x.tolist(),
    lambda x: torch.zeros(3).repeat_interleave(x)
])
def test_reads_are_seen(wrong):
    with pytest.raises(RuntimeError, match='from the device'), no_reads('cpu'):
        wrong(torch.tensor([1, 2, 0]))


DEVICES = [
    'cpu',
    pytest.param(
        'cuda',
        marks=pytest.mark.skipif(
            not torch.cuda.is_available(), reason='needs a GPU'))
]


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('method', ['insloc', 'soco', 'soco-assigned'])
def test_step(method, device):
    """Forward, losses, target, queue, backward, optimizer."""
    if method == 'insloc':
        model = test_insloc.build()
        batches = [test_insloc.make_batch(seed=i) for i in range(2)]
        optimizer = torch.optim.SGD(
            model.parameters(), lr=0.03, momentum=0.9, nesterov=True)
    else:
        extractor = dict(
            type='mmloc.AssignedLevelRoIExtractor',
            thresholds=(14, 28, 42, 64)) if 'assigned' in method else None
        model = test_soco.build(roi_extractor=extractor)
        batches = [test_soco.make_batch(seed=i) for i in range(2)]
        optimizer = LARS(model.parameters(), lr=1., weight_decay=1e-5)
    model = model.to(device).train()
    wrapper = OptimWrapper(optimizer)
    batches = [({k: v.to(device) for k, v in inputs.items()},
                {k: [x.to(device) for x in v] for k, v in samples.items()})
               for inputs, samples in batches]
    for number, batch in enumerate(batches):
        # The first step may look how far an earlier training had come.
        with no_reads(device) if number else torch.enable_grad():
            loss, _ = model.parse_losses(model(*batch, mode='loss'))
            wrapper.update_params(loss)
    assert loss.isfinite()
