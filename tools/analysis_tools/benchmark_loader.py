# Copyright (c) mmloc contributors. All rights reserved.
"""Measure the way of a batch from the loader's workers to the device.

The training data of a config come from workers through a loader, once by
``flat_collate`` and once by ``pseudo_collate``, in turns. Then the batch goes
to the device, as in a data preprocessor, and is dropped. Milliseconds per
batch: ``wall``, CPU time of the workers, which make the samples too, and of
the main process, all threads, to receive a batch and to put it on the device.
``files`` are the most file descriptors that were open at once for batches.
Medians of the rounds. The last line is JSON: samples per second of CPU time of
the main process, which all workers together cannot exceed.

    python tools/dataset_tools/generate_proposals.py FOLDER p.mmprop
    python tools/analysis_tools/benchmark_loader.py CONFIG \
        --images FOLDER --proposals p.mmprop
"""
import argparse
import json
import os
import statistics
import time
from collections import defaultdict

import cv2
import numpy as np
import torch
from benchmark_pipeline import load
from mmengine.config import DictAction
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Subset

from mmloc.utils.cli import building, user_errors
from mmloc.utils.flat_batch import FlatBatch

COLLATIONS = dict(flat='mmloc.flat_collate', plain='pseudo_collate')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', metavar='CONFIG')
    add('--images', required=True, metavar='FOLDER')
    add('--proposals', metavar='FILE',
        help='of these images, for configs that read such a file')
    add('--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings of the config to replace')
    add('--workers', type=int, default=2, metavar='N')
    add('--batch-size', type=int, metavar='N', help="the config's by default")
    add('--batches', type=int, default=4, metavar='N',
        help='of each collation in a round (default 4)')
    add('--rounds', type=int, default=5, metavar='N')
    add('--device', default='cpu', help='default cpu')
    add('--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    for name in ('workers', 'batch_size', 'batches', 'rounds'):
        if (value := getattr(args, name)) is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} is below 1')
    return args


def measure(loader: DataLoader, preprocessor: BaseDataPreprocessor,
            num: int) -> dict[str, float]:
    """Take some batches, and leave the workers waiting.

    Args:
        loader (DataLoader): With persistent workers.
        preprocessor (BaseDataPreprocessor): On the device.
        num (int): Number of batches.

    Returns:
        dict[str, float]: Milliseconds per batch by name, and ``files``.
    """
    files, on_device = 0, 0.
    before = _open_files()
    batches = iter(loader)
    workers = [worker.pid for worker in batches._workers]
    start, own, others = time.perf_counter(), _cpu(), _cpu(workers)
    for batch in batches:
        files = max(files, _open_files() - before)
        received = _cpu()
        if isinstance(batch, FlatBatch):
            batch.unpack(preprocessor.device, non_blocking=True)
        else:
            preprocessor.cast_data(batch)
        on_device += _cpu() - received
    if preprocessor.device.type == 'cuda':
        torch.cuda.synchronize()
    own = _cpu() - own
    seconds = dict(
        wall=time.perf_counter() - start,
        workers=_cpu(workers) - others,
        main=own,
        receive=own - on_device,
        to_device=on_device)
    return {key: x / num * 1e3 for key, x in seconds.items()} | {
        'files': files
    }


def _cpu(pids: list[int] | None = None) -> float:
    """CPU seconds that processes, or this one, have taken so far."""
    if pids is None:
        return time.process_time()
    ticks = 0
    for pid in pids:
        with open(f'/proc/{pid}/stat') as file:
            # The name before may hold blanks.
            user, system = file.read().rpartition(')')[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf('SC_CLK_TCK')


def _open_files() -> int:
    return len(os.listdir('/proc/self/fd'))


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    cfg = load(args.config, args)
    size = args.batch_size or cfg.train_dataloader.batch_size
    cfg.train_dataloader.update(
        batch_size=size,
        num_workers=args.workers,
        persistent_workers=True,
        pin_memory=args.device != 'cpu')
    loaders = {}
    with building(cfg.filename):
        images = DATASETS.build(cfg.train_dataloader.dataset)
        places = np.resize(np.arange(len(images)), args.batches * size)
        cfg.train_dataloader.dataset = Subset(images, places.tolist())
        for name, kind in COLLATIONS.items():
            cfg.train_dataloader.collate_fn = dict(type=kind)
            loaders[name] = Runner.build_dataloader(
                cfg.train_dataloader, seed=0)
    preprocessor = BaseDataPreprocessor(non_blocking=True).to(args.device)
    found = {name: defaultdict(list) for name in loaders}
    for number in range(args.rounds + 1):
        for name, loader in loaders.items():
            result = measure(loader, preprocessor, args.batches)
            for key, value in result.items() if number else ():
                found[name][key].append(value)
    medians = {
        name: {key: round(statistics.median(x), 1)
               for key, x in values.items()}
        for name, values in found.items()
    }
    for name, values in medians.items():
        print(name, json.dumps(values))
    ours, baseline = (size / values['main'] * 1e3
                      for values in (medians['flat'], medians['plain']))
    print(json.dumps(dict(
        ours=round(ours, 1),
        baseline=round(baseline, 1),
        ratio=round(statistics.median(
            b / o for o, b in zip(*(x['main'] for x in found.values()))), 2),
        unit='samples/s of CPU time in the main process',
        ms=medians,
        config=dict(vars(args), batch_size=size, torch=torch.__version__))))


if __name__ == '__main__':
    with user_errors():
        main()
