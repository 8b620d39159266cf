# Copyright (c) mmloc contributors. All rights reserved.
"""Measure opening and reading of a proposal file of ImageNet's size.

A file is generated, read by 1, 2 and 4 worker processes at random places, by
index and by name, and removed. ``private_mb`` is what the kernel counts as
private to a worker between two records (/proc/PID/smaps_rollup), more than
before its first one; ``peak_mb`` is by how much its resident memory, shared
pages included, ever grew. The last line is JSON. Needs Linux.

Example:
    python tools/analysis_tools/benchmark_proposal_file.py
"""
import argparse
import json
import multiprocessing
import os.path as osp
import re
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from mmloc.proposals import ProposalFile, write_proposals
from mmloc.proposals.file_layout import SUFFIX, Proposals
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track

WORKERS = (1, 2, 4)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=1_300_000)
    parser.add_argument('--boxes', type=int, default=40_000_000)
    parser.add_argument(
        '--reads', type=int, default=50_000,
        help='records that each worker reads, half by index, half by name')
    parser.add_argument(
        '--dir', help="folder for the file, 0.8 GB; the system's if not given")
    parser.add_argument(
        '--start-method', default='fork', choices=('fork', 'spawn'))
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Generate, measure, print."""
    args = parse_args()
    with user_errors(args.traceback), tempfile.TemporaryDirectory(
            dir=args.dir) as folder:
        path = osp.join(folder, 'benchmark' + SUFFIX)
        start = time.process_time()
        write_proposals(
            path, track(make_records(args.images, args.boxes), args.images,
                        'images'), dict(made_by='benchmark'))
        result = dict(
            images=args.images, boxes=args.boxes,
            gigabytes=round(osp.getsize(path) / 1e9, 3),
            write_cpu_seconds=round(time.process_time() - start, 1),
            **measure_opening(path))
        for num in WORKERS:
            result[f'{num}_workers'] = measure_workers(
                path, num, args.reads, args.start_method)
        print(json.dumps(result))


def make_records(num_images: int, num_boxes: int) -> Iterator[Proposals]:
    """Make up images of 500 x 375 pixels, named like ImageNet's.

    Args:
        num_images (int): How many.
        num_boxes (int): Of all images together, spread evenly.

    Yields:
        Proposals: The images.
    """
    rng = np.random.default_rng(0)
    scale = np.float32([500, 375])
    pool = np.sort(rng.random((10_000, 2, 2), np.float32), 1) * scale
    pool = pool.reshape(-1, 4)
    ends = np.arange(num_images + 1) * num_boxes // num_images
    for i, num in enumerate(np.diff(ends)):
        name = f'n{i // 1300:08d}/n{i // 1300:08d}_{i}.JPEG'
        first = int(rng.integers(len(pool) - num))
        yield Proposals(name, 500, 375, pool[first:first + num])


def measure_opening(path: str) -> dict:
    """Measure the opening of a file by this process.

    Args:
        path (str): The file.

    Returns:
        dict: Seconds of the wall clock and megabytes.
    """
    before = private_bytes()
    start = time.perf_counter()
    file = ProposalFile(path)
    seconds = time.perf_counter() - start
    return dict(open_seconds=round(seconds, 5), open_private_mb=round(
        (private_bytes() - before) / 1e6, 3), num_read=len(file))


def measure_workers(path: str, num: int, reads: int,
                    start_method: str) -> dict:
    """Let several processes read at random places at once.

    Args:
        path (str): The file, opened once and handed to the workers.
        num (int): Number of processes.
        reads (int): Records that each reads.
        start_method (str): 'fork' or 'spawn'.

    Returns:
        dict: Memory of the worker that took most, in megabytes, and mean
        CPU microseconds a record.
    """
    context = multiprocessing.get_context(start_method)
    file, queue = ProposalFile(path), context.Queue()
    workers = [
        context.Process(target=work, args=(file, reads, seed, queue))
        for seed in range(num)
    ]
    for worker in workers:
        worker.start()
    reports = np.array([queue.get() for _ in workers])
    for worker in workers:
        worker.join()
    private, peak = reports[:, :2].max(0) / 1e6
    by_index, by_name = reports[:, 2:].mean(0) * 1e6
    return dict(
        private_mb=round(private, 1), peak_mb=round(peak, 1),
        us_by_index=round(by_index, 1), us_by_name=round(by_name, 1))


def work(file: ProposalFile, reads: int, seed: int,
         queue: multiprocessing.Queue) -> None:
    """Read records at random places and report.

    Args:
        file (ProposalFile): The file.
        reads (int): How many records.
        seed (int): Of the places.
        queue (multiprocessing.Queue): Takes the most private bytes that were
            added, the most resident ones, and the CPU seconds of a record by
            index and by name.
    """
    with open('/proc/self/clear_refs', 'w') as f:
        f.write('5')  # the peak begins anew
    resident = status_bytes('VmRSS')
    places = np.random.default_rng(seed).integers(len(file), size=reads)
    before, most, seconds = private_bytes(), 0, []
    for read in (file.__getitem__, file.get):
        keys = [int(i) for i in places[len(seconds)::2]]
        if read == file.get:
            keys = [file.names[i] for i in keys]
        spent = 0.
        for i in range(0, len(keys), 100):
            start = time.process_time()
            for key in keys[i:i + 100]:
                read(key)
            spent += time.process_time() - start
            most = max(most, private_bytes() - before)
        seconds.append(spent / len(keys))
    queue.put((most, status_bytes('VmHWM') - resident, *seconds))


def private_bytes() -> int:
    """Memory that this process shares with no other, file pages included.

    Returns:
        int: Bytes.
    """
    with open('/proc/self/smaps_rollup') as f:
        return 1024 * sum(
            map(int, re.findall(r'Private_\w+:\s+(\d+) kB', f.read())))


def status_bytes(key: str) -> int:
    """A figure of this process, in bytes, from /proc/self/status.

    Args:
        key (str): Its name, like 'VmRSS'.

    Returns:
        int: Bytes.
    """
    with open('/proc/self/status') as f:
        return 1024 * int(re.search(rf'{key}:\s+(\d+) kB', f.read())[1])


if __name__ == '__main__':
    main()
