# Copyright (c) mmloc contributors. All rights reserved.
"""Trainings killed at random moments end like one that was left alone."""
import json
import multiprocessing
import os
import random
import runpy
import signal
import socket
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend

from mmloc.engine.checkpoint_files import check_resumable
from mmloc.proposals import write_proposals

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10  # of each method
NUM_IMAGES, MAX_ITERS = 16, 12
#: Of a save: torch.save's file, and what makes it a checkpoint.
STEPS_OF_A_SAVE = 8
CONFIG = """
_base_ = {base!r}
train_dataloader = dict(
    batch_size=4, num_workers={workers}, persistent_workers={workers} > 0,
    drop_last=True, dataset=dict({data}))
{more}
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(by_epoch=False, interval={interval}, max_keep_ckpts=1))
log_processor = dict(window_size=3)
"""
INSLOC = """
paste = dict(canvas=(32, 32), width_range=(12, 30))
train_pipeline = _base_.train_pipeline
train_pipeline[0].query[0].update(paste)
train_pipeline[0].key[0].update(paste)
train_dataloader['dataset'].update(pipeline=train_pipeline)
model = dict(head=dict(queue=dict(length=7)), bn_splits=2)
"""
SOCO = """
train_pipeline = _base_.train_pipeline
train_pipeline[1].proposal_file = {file!r}
train_pipeline[-1].views.view1.transforms[0].scale = (48, 48)
train_pipeline[-1].views.view2.transforms[0].scale = 48
train_pipeline[-1].views.view3.transforms[0].scale = 32
train_dataloader['dataset'].update(pipeline=train_pipeline)
model = dict(head=dict(thresholds=(12, 24, 36, 48)))
optim_wrapper = dict(accumulative_counts=2)
"""

_processes = multiprocessing.get_context('forkserver')
_processes.set_forkserver_preload(
    ['mmloc.engine.launch', 'mmloc.models', 'mmloc.datasets', 'mmdet.models',
     'mmpretrain.models', 'mmdet.visualization'])


@pytest.fixture(params=['insloc', 'soco'])
def config(request, tmp_path):
    """A tiny training: 3 epochs of 4 iterations."""
    images = tmp_path / 'images'
    images.mkdir()
    rng = np.random.default_rng(0)
    names = [f'{i:02}.jpg' for i in range(NUM_IMAGES)]
    for name in names:
        cv2.imwrite(str(images / name),
                    rng.integers(0, 256, (40, 56, 3), np.uint8))
    file = tmp_path / 'config.py'
    source = f'data_root={str(images)!r}, data_prefix=dict(img="")'
    if request.param == 'insloc':
        file.write_text(CONFIG.format(
            base=str(ROOT / 'configs/insloc/insloc_r18_fpn_toy.py'),
            data=f'dataset=dict({source})', workers=2, interval=2,
            more=INSLOC))
        return file
    corner = rng.integers(0, 20, (NUM_IMAGES, 12, 2))
    boxes = np.concatenate([corner, corner + 20], 2).astype(np.float32)
    proposals = str(tmp_path / 'proposals.mmprop')
    write_proposals(
        proposals,
        [(name, 56, 40, x) for name, x in zip(names, boxes)], {})
    file.write_text(CONFIG.format(
        base=str(ROOT / 'configs/soco/soco_r18_fpn_toy.py'), data=source,
        workers=0, interval=2, more=SOCO.format(file=proposals)))
    return file


def stall(path, at):
    """Stop for good before step ``at`` of those that write checkpoints."""
    steps = iter(range(at + 1))

    def stalling(function):
        def call(*args, **kwargs):
            if next(steps, 0) == at:
                path.touch()
                time.sleep(1000)
            return function(*args, **kwargs)
        return call

    def put(self, obj, filepath):
        with open(filepath, 'wb') as file:
            file.write(obj[:len(obj) // 2])
            file.flush()
            stalling(file.write)(obj[len(obj) // 2:])

    LocalBackend.put = put
    for name in ('fsync', 'replace', 'remove'):
        setattr(os, name, stalling(getattr(os, name)))


def live(config, work_dir, *flags, marker=None, at=None, rank=None):
    """Be tools/train.py, in a process group of its own."""
    os.setsid()
    torch.set_num_threads(1)
    log = open(f'{work_dir}.log', 'a', buffering=1)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    # Formatting the config for logs and checkpoints takes most of the time of
    # such a short life, and none of its interest.
    Config.pretty_text = property(lambda config: '')
    if at is not None:
        stall(marker, at)
    if rank is not None:
        os.environ.update(
            RANK=str(rank[0]), LOCAL_RANK=str(rank[0]), WORLD_SIZE='2',
            MASTER_ADDR='127.0.0.1', MASTER_PORT=str(rank[1]))
        flags += ('--launcher', 'pytorch')
    sys.argv = ['train.py', str(config), '--work-dir', str(work_dir),
                '--seed', '3', '--resume', *flags]
    runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')


def start(*args, **kwargs):
    process = _processes.Process(target=live, args=args, kwargs=kwargs)
    process.start()
    return process


def run(*args, **kwargs):
    """Let a process live to its end.

    Returns:
        int: Its exit code.
    """
    process = start(*args, **kwargs)
    process.join()
    return process.exitcode


def wait_for(process, condition):
    while process.is_alive() and not condition():
        time.sleep(0.005)
    return process.is_alive()


def count_lines(work_dir):
    """Number of iterations that have been logged."""
    return sum(file.read_text().count('\n')
               for file in work_dir.glob('*/vis_data/scalars.json'))


def losses(work_dir):
    """What was logged of each iteration, in the order of the runs."""
    logged = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            try:
                line = json.loads(line)
            except json.JSONDecodeError:  # killed while it was written
                continue
            numbers = {k: v for k, v in line.items()
                       if k not in ('time', 'data_time', 'memory')}
            logged.setdefault(line['iter'], []).append(numbers)
    return logged


def final(work_dir, iters):
    path = Path((work_dir / 'last_checkpoint').read_text())
    assert path.name == f'iter_{iters}.pth'
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint['meta'], checkpoint['message_hub']
    return checkpoint


def assert_equal(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_equal(x, y)
    else:
        assert a == b


def assert_same_training(work_dir, reference, iters=MAX_ITERS):
    assert_equal(final(work_dir, iters), final(reference, iters))
    expected = losses(reference)
    assert sorted(expected) == list(range(1, iters + 1))
    found = losses(work_dir)
    assert sorted(found) == sorted(expected)
    for number, lines in found.items():
        assert lines == expected[number] * len(lines)
    # Nothing is left of the saves that were cut off.
    files = {x.name for x in work_dir.iterdir() if x.is_file()}
    assert files - {'interrupted.pth'} == {
        f'iter_{iters}.pth', 'last_checkpoint', 'config.py'}


def interrupt(config, work_dir, rng, how):
    """Let a training live for a while.

    Returns:
        bool: Whether it was ended before its end.
    """
    if how == 'saving':
        marker = work_dir.with_suffix('.stalled')
        marker.unlink(missing_ok=True)
        process = start(config, work_dir, marker=marker,
                        at=rng.randrange(STEPS_OF_A_SAVE))
        alive = wait_for(process, marker.exists)
    else:
        process = start(config, work_dir)
        lines = count_lines(work_dir) + rng.randrange(0 if how == 'any' else 1,
                                                      4)
        alive = wait_for(process, lambda: count_lines(work_dir) >= lines)
        # Up to a whole start, or two iterations.
        time.sleep(rng.uniform(0, 1.5 if lines == 0 else 0.3))
    number = signal.SIGKILL if how in ('any', 'saving') else how
    if alive:
        # Not to the workers, which must end by themselves.
        (os.kill if number == signal.SIGKILL else os.killpg)(
            process.pid, number)
    process.join()
    if process.exitcode == 0:
        return False
    assert process.exitcode == (-9 if number == signal.SIGKILL else 85)
    return True


@pytest.mark.slow
def test_killed_trainings_end_alike(config, tmp_path):
    rng = random.Random(0)
    reference = tmp_path / 'reference'
    assert run(config, reference) == 0
    # SIGKILL twice in each round, and once a signal to leave.
    todo = ['any', 'saving'] * (KILLS // 2)
    todo[2:2], todo[7:7] = [signal.SIGUSR1], [signal.SIGTERM]
    trainings = 0
    while todo:
        work_dir = tmp_path / f'killed{trainings}'
        while todo and interrupt(config, work_dir, rng, todo[0]):
            if todo.pop(0) not in ('any', 'saving'):
                marked = (work_dir / 'last_checkpoint').read_text()
                saved = torch.load(marked, weights_only=True)['meta']
                assert saved['iter'] == max(losses(work_dir))
            for path in work_dir.glob('*.pth'):
                check_resumable(str(path))
        if not todo:
            assert run(config, work_dir) == 0
        assert_same_training(work_dir, reference)
        trainings += 1
    print(f'{KILLS} kills, {trainings} trainings')


def start_two(config, work_dir):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return [start(config, work_dir, rank=(rank, port)) for rank in range(2)]


def end(processes):
    """Wait for the end of both.

    Returns:
        list: Their exit codes.
    """
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize('config', ['insloc'], indirect=True)
def test_two_processes_leave_together(config, tmp_path):
    """Of which only one gets the signal."""
    reference, work_dir = tmp_path / 'reference', tmp_path / 'stopped'
    assert end(start_two(config, reference)) == [0, 0]
    processes = start_two(config, work_dir)
    assert wait_for(processes[1], lambda: count_lines(work_dir) >= 1)
    os.kill(processes[1].pid, signal.SIGUSR1)
    assert end(processes) == [85, 85]
    assert 1 < count_lines(work_dir) < MAX_ITERS // 2
    assert end(start_two(config, work_dir)) == [0, 0]
    assert_same_training(work_dir, reference, MAX_ITERS // 2)
