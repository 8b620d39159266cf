# Copyright (c) mmloc contributors. All rights reserved.
import multiprocessing
import os
import signal
import threading
import time

import cv2
import numpy as np
import pytest

from mmloc.utils.processes import WorkerDiedError, map_unordered


def _work(job):
    if job == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if job < 0:
        raise ValueError(f'{job} is negative')
    return job * job, os.getpid(), cv2.getNumThreads()


def test_every_job_once():
    found = dict(map_unordered(_work, range(20, 70), 3))
    assert {job: value for job, (value, *_) in found.items()} == {
        job: job * job for job in range(20, 70)}
    pids = {pid for _, pid, _ in found.values()}
    assert os.getpid() not in pids
    assert len(pids) <= 3
    assert {threads for *_, threads in found.values()} == {1}
    assert list(map_unordered(_work, [], 2)) == []


def test_only_a_few_jobs_are_under_way():
    taken = []
    results = map_unordered(_work, (taken.append(i) or i
                                    for i in range(100, 9999)), 2)
    next(results)
    assert len(taken) <= 8
    results.close()


def test_a_killed_worker_is_noticed():
    with pytest.raises(WorkerDiedError, match='killed') as error:
        list(map_unordered(_work, [1, 2, 13], 1))
    assert error.value.jobs == [13]


def test_errors_pass():
    before = threading.active_count()  # other tests may have left some
    with pytest.raises(ValueError, match='-3 is negative'):
        list(map_unordered(_work, [-3], 1))
    assert threading.active_count() < before + 8


def _sleep(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(99)


def test_workers_end_with_a_killed_parent(tmp_path):
    parent = multiprocessing.get_context('fork').Process(
        target=lambda: list(map_unordered(_sleep, [tmp_path] * 2, 2)))
    parent.start()
    deadline = time.monotonic() + 60
    while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.kill()
    parent.join()
    pids = [int(name) for name in os.listdir(tmp_path)]
    assert len(pids) == 2
    while any(map(_is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    orphans = [pid for pid in pids if _is_alive(pid)]
    for pid in orphans:  # they would wait for jobs for ever
        os.kill(pid, signal.SIGKILL)
    assert not orphans


def _is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def _warp(size):
    cv2.warpAffine(
        np.zeros((size, size), np.uint8), np.eye(2, 3, dtype=np.float32),
        (size, size))
    return size


def test_workers_do_not_wait_for_threads_of_opencv_here():
    former = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        _warp(2000)  # starts them
        assert list(map_unordered(_warp, [2000], 1)) == [(2000, 2000)]
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(former)
