# Copyright (c) mmloc contributors. All rights reserved.
"""Work on many items in processes that never outlive, or fail, unnoticed."""
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import cv2
import torch

J = TypeVar('J')
R = TypeVar('R')


class WorkerDiedError(RuntimeError):
    """A worker process was killed, usually because memory ran out.

    Args:
        message (str): The sentence for the user.
        jobs (list): What the workers were at work on.
    """

    def __init__(self, message: str, jobs: list) -> None:
        super().__init__(message)
        self.jobs = jobs


def num_cores() -> int:
    """Count the cores that this process may use.

    Returns:
        int: Fewer than the machine has, if the process is bound to some.
    """
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_unordered(function: Callable[[J], R], jobs: Iterable[J],
                  workers: int) -> Iterator[tuple[J, R]]:
    """Call a function on jobs in several processes.

    Only a few jobs are under way at a time, so that memory stays flat over
    any number of them. Each process uses one thread. If this process ends,
    its workers do, by whatever signal it was ended; Ctrl-C is for this
    process to answer.

    Args:
        function (Callable): Of one job; it and its results can be pickled.
        jobs (Iterable): What to work on.
        workers (int): Number of processes, forked from this one.

    Yields:
        tuple: A job and its result, in the order in which they get done.

    Raises:
        WorkerDiedError: A worker was killed.
        Exception: What the function raised.
    """
    jobs = iter(jobs)
    # A fork that inherits OpenCV's threads, which it has not, waits for them.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context('fork'), _start_worker)
    under_way: dict = {}
    try:
        while True:
            for job in islice(jobs, 4 * workers - len(under_way)):
                under_way[pool.submit(function, job)] = job
            if not under_way:
                return
            for future in wait(under_way, None, FIRST_COMPLETED).done:
                result = future.result()
                yield under_way.pop(future), result
    except BrokenProcessPool as error:
        # Jobs are handed out in their order: the oldest were at work.
        jobs = [
            job for future, job in under_way.items()
            if not future.done() or future.exception()
        ][:workers]
        raise WorkerDiedError(
            f'A worker process was killed while the {workers} were at work '
            f'on {", ".join(map(str, jobs))}.', jobs) from error
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)


def _start_worker() -> None:
    # Ctrl-C is the parent's to answer; cores are shared by processes alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
