# Copyright (c) mmloc contributors. All rights reserved.
"""Real gloo processes, started once for all tests of this folder."""
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
import torch
from torch import distributed

# Imported once, by the server from which all processes are forked.
PRELOADED = ['torch', 'mmdet.models', 'mmpretrain.models', 'mmloc.models']


def in_group(function, args, rank, world_size, path):
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    os.environ['LOCAL_RANK'] = str(rank)  # as torchrun does
    distributed.init_process_group(
        'gloo', f'file://{path}', rank=rank, world_size=world_size,
        timeout=timedelta(seconds=120))
    try:
        return function(*args)
    finally:
        distributed.destroy_process_group()


@pytest.fixture(scope='session')
def in_processes(tmp_path_factory):
    """Call a function of a module in each of several processes.

    ``in_processes(world_size, function, *args)`` returns the results by rank.
    Each call forms a process group of its own. Ranks have different seeds.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(PRELOADED)
    workers = [
        ProcessPoolExecutor(max_workers=1, mp_context=context)
        for _ in range(3)
    ]
    folder = tmp_path_factory.mktemp('rendezvous')
    number = count()

    def call(world_size, function, *args):
        path = folder / str(next(number))
        calls = [
            worker.submit(in_group, function, args, rank, world_size, path)
            for rank, worker in enumerate(workers[:world_size])
        ]
        errors = [call.exception(timeout=300) for call in calls]
        # The first to fail closes its connections, of which others complain.
        errors = sorted(
            filter(None, errors), key=lambda x: 'Connection' in str(x))
        if errors:
            raise errors[0]
        return [call.result() for call in calls]

    yield call
    for worker in workers:
        worker.shutdown()
