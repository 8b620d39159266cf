# Copyright (c) mmloc contributors. All rights reserved.
"""Measure how long a training needs to know which images there are.

Sources of ImageNet's size are made of empty images: a folder tree, a text
list, a zip, 147 tars, the same with the exact time of each image, as
WebDataset writes them, and an LMDB. Each is read twice by a new process: the
first start makes the list, the second maps what was kept of it. Then forked
workers draw images at random. ``private_mb`` is the memory that a worker
shares with no other process after that, more than before. Everything is made
in a temporary folder, and removed. The last line is JSON. Needs Linux.

Example:
    python tools/analysis_tools/benchmark_image_list.py --sources folder txt
"""
import argparse
import io
import json
import multiprocessing
import os
import os.path as osp
import tarfile
import tempfile
import time
import zipfile

import numpy as np
from benchmark_proposal_file import private_bytes, status_bytes

from mmloc.datasets import UnlabeledImageDataset
from mmloc.utils.cli import user_errors

PER_FOLDER = 1300
NUM_SHARDS = 147
WORKERS = 4


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=1_300_000)
    parser.add_argument(
        '--sources', nargs='+', default=[*SOURCES], choices=[*SOURCES])
    parser.add_argument(
        '--reads', type=int, default=50_000,
        help='images that each worker looks up')
    parser.add_argument(
        '--dir', help="folder for the sources; the system's if not given")
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Make, measure, print."""
    args = parse_args()
    result = dict(images=args.images)
    with user_errors(args.traceback):
        for source in args.sources:
            with tempfile.TemporaryDirectory(dir=args.dir) as folder:
                os.environ['MMLOC_CACHE'] = osp.join(folder, 'cache')
                names = [
                    f'n{i // PER_FOLDER:08d}/n{i // PER_FOLDER:08d}_{i}.JPEG'
                    for i in range(args.images)
                ]
                kwargs = SOURCES[source](folder, names)
                del names
                time.sleep(3)  # a folder that just changed is not kept
                result[source] = measure(kwargs, args.reads)
                print(f'{source}: {result[source]}', flush=True)
    print(json.dumps(result))


def make_folder(folder: str, names: list[str]) -> dict:
    """Make a folder tree of empty files."""
    for i, name in enumerate(names):
        path = osp.join(folder, 'train', name)
        if i % PER_FOLDER == 0:
            os.makedirs(osp.dirname(path))
        os.close(os.open(path, os.O_CREAT))
    return dict(data_root=osp.join(folder, 'train'))


def make_txt(folder: str, names: list[str]) -> dict:
    """Write ImageNet's kind of list, with labels."""
    path = osp.join(folder, 'train.txt')
    with open(path, 'w') as file:
        file.writelines(f'{name} {i // PER_FOLDER}\n'
                        for i, name in enumerate(names))
    return dict(ann_file=path, data_prefix=dict(img=folder),
                check_exists='none')


def make_zip(folder: str, names: list[str]) -> dict:
    """Pack a zip of empty members."""
    path = osp.join(folder, 'train.zip')
    with zipfile.ZipFile(path, 'w') as file:
        for name in names:
            file.writestr(name, b'')
    return dict(data_root=path)


def make_tar(folder: str, names: list[str], mtime: float = 0) -> dict:
    """Pack shards of members of one byte."""
    for i in range(NUM_SHARDS):
        with tarfile.open(osp.join(folder, f'train-{i:06d}.tar'), 'w') as file:
            for name in names[i::NUM_SHARDS]:
                info = tarfile.TarInfo(name)
                info.size, info.mtime = 1, mtime
                file.addfile(info, io.BytesIO(b'x'))
    return dict(data_root=folder,
                data_prefix=dict(img=f'train-{{000000..{i:06d}}}.tar'))


def make_timed_tar(folder: str, names: list[str]) -> dict:
    """Pack shards in which the time takes two more blocks."""
    return make_tar(folder, names, 1.7e9 + 0.125)


def make_lmdb(folder: str, names: list[str]) -> dict:
    """Store empty values."""
    import lmdb
    path = osp.join(folder, 'train.lmdb')
    with lmdb.open(path, map_size=2**33) as env, env.begin(write=True) as txn:
        for name in names:
            txn.put(name.encode(), b'')
    return dict(data_root=path)


SOURCES = dict(folder=make_folder, txt=make_txt, zip=make_zip, tar=make_tar,
               timed_tar=make_timed_tar, lmdb=make_lmdb)


def measure(kwargs: dict, reads: int) -> dict:
    """Start twice, then let workers look images up.

    Args:
        kwargs (dict): Of the dataset.
        reads (int): Images for each worker.

    Returns:
        dict: Seconds of the wall clock, megabytes.
    """
    first, second = (_in_process(_start, kwargs) for _ in range(2))
    return dict(
        first_seconds=first[0], first_cpu_seconds=first[1],
        first_peak_mb=first[2], later_seconds=second[0],
        later_peak_mb=second[2],
        private_mb=_in_process(_measure_workers, kwargs, reads))


def _in_process(function, *args):
    queue = multiprocessing.get_context('spawn').SimpleQueue()
    process = multiprocessing.get_context('spawn').Process(
        target=_call, args=(queue, function, *args))
    process.start()
    result = queue.get()
    process.join()
    return result


def _call(queue, function, *args) -> None:
    queue.put(function(*args))


def _start(kwargs: dict) -> tuple[float, float, float]:
    before = status_bytes('VmHWM')
    start, start_cpu = time.perf_counter(), time.process_time()
    len(UnlabeledImageDataset(**kwargs))
    return (round(time.perf_counter() - start, 2),
            round(time.process_time() - start_cpu, 2),
            round((status_bytes('VmHWM') - before) / 1e6, 1))


def _measure_workers(kwargs: dict, reads: int) -> float:
    """The most that a forked worker has for itself."""
    dataset = UnlabeledImageDataset(**kwargs)
    context = multiprocessing.get_context('fork')
    queue, barrier = context.SimpleQueue(), context.Barrier(WORKERS)
    workers = [
        context.Process(
            target=_work, args=(dataset, reads, seed, queue, barrier))
        for seed in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return round(max(queue.get() for _ in workers) / 1e6, 1)


def _work(dataset, reads: int, seed: int, queue, barrier) -> None:
    before = private_bytes()
    for i in np.random.default_rng(seed).integers(len(dataset), size=reads):
        dataset.get_data_info(int(i))
    barrier.wait()  # a page that one has mapped so far counts as its own
    private = private_bytes() - before
    barrier.wait()
    queue.put(private)


if __name__ == '__main__':
    main()
