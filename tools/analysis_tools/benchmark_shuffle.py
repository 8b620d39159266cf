# Copyright (c) mmloc contributors. All rights reserved.
"""Measure what ShuffleBN sends, against gathering all images on all ranks.

Starts processes that talk by gloo and shuffles a batch of key images, their
boxes, and back the keys: once as mmloc does, each sample going straight to the
rank that needs it, and once in the simple form, where each rank gathers
everything and takes its part. The bytes that a rank receives from others are
counted from the tensors that are passed to the collectives. The last line is
JSON.

    python tools/analysis_tools/benchmark_shuffle.py --ranks 8 --batch-size 32
"""
import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor
from torch import distributed as torch_dist
from torch import multiprocessing as mp

from mmloc.models.utils import SampleShuffle
from mmloc.utils.cli import user_errors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--ranks', type=int, default=8, metavar='N')
    add('--batch-size', type=int, default=32, metavar='N',
        help='images of a rank (default 32)')
    add('--image-size', type=int, default=256, metavar='PIXELS')
    add('--levels', type=int, default=4, metavar='N')
    add('--channels', type=int, default=128, metavar='N',
        help='of a key on a level (default 128)')
    add('--steps', type=int, default=3, metavar='N')
    args = parser.parse_args()
    for name in ('ranks', 'batch_size', 'image_size', 'steps'):
        if getattr(args, name) < 1 + (name == 'ranks'):
            parser.error(f'--{name.replace("_", "-")} is too small')
    return args


class Received:
    """Count the bytes that this rank receives from other ranks."""

    def __init__(self) -> None:
        self.bytes = 0

    @contextmanager
    def count(self) -> Iterator[None]:
        """Count what passes torch's collectives."""
        names = ('all_to_all_single', 'all_gather', 'broadcast')
        functions = {
            name: self._counting(getattr(torch_dist, name),
                                 getattr(self, f'_{name}'))
            for name in names
        }
        with patch.multiple(torch_dist, **functions):
            yield

    def _counting(self, function, size):
        def counting(*args, **kwargs):
            self.bytes += size(*args, **kwargs)
            return function(*args, **kwargs)
        return counting

    def _all_to_all_single(self, output: Tensor, _: Tensor,
                           output_split_sizes: list[int],
                           *args) -> int:
        own = output_split_sizes[torch_dist.get_rank()]
        row = output[:1].nbytes if len(output) else 0
        return output.nbytes - own * row

    def _all_gather(self, outputs: list[Tensor], own: Tensor, *args,
                    **kwargs) -> int:
        return sum(x.nbytes for x in outputs) - own.nbytes

    def _broadcast(self, tensor: Tensor, src: int = 0, *args,
                   **kwargs) -> int:
        return 0 if torch_dist.get_rank() == src else tensor.nbytes


def exchange(images: Tensor, boxes: Tensor, keys: Tensor) -> list[Tensor]:
    """Shuffle images and boxes and sort keys back, as mmloc does."""
    shuffle = SampleShuffle(len(images), images.device)
    counts = [1] * len(images)
    images, _ = shuffle.shuffle(images)
    boxes, counts = shuffle.shuffle(boxes, counts)
    keys, _ = shuffle.unshuffle(keys, counts)
    return [images, boxes, keys]


def gather(images: Tensor, boxes: Tensor, keys: Tensor) -> list[Tensor]:
    """Do the same by gathering all on every rank and taking a part."""
    rank, num = torch_dist.get_rank(), len(images)
    world_size = torch_dist.get_world_size()

    def take(rows: Tensor, order: Tensor) -> Tensor:
        everything = [torch.empty_like(rows) for _ in range(world_size)]
        torch_dist.all_gather(everything, rows)
        return torch.cat(everything)[order[rank * num:(rank + 1) * num]]

    order = torch.randperm(num * world_size)
    torch_dist.broadcast(order, 0)
    return [take(images, order), take(boxes, order),
            take(keys, order.argsort())]


def work(rank: int, args: argparse.Namespace, folder: str) -> None:
    """Run both forms in one rank; rank 0 writes what all have counted."""
    torch.set_num_threads(1)
    torch_dist.init_process_group(
        'gloo', f'file://{folder}/rendezvous', rank=rank,
        world_size=args.ranks)
    torch.manual_seed(rank)
    num, side = args.batch_size, args.image_size
    batch = (torch.randn(num, 3, side, side), torch.rand(num, 4),
             torch.randn(num, args.levels, args.channels))
    counted, seconds = [], []
    for step in range(args.steps):
        results = []
        for form in (exchange, gather):
            torch.manual_seed(step)
            received, start = Received(), time.perf_counter()
            with received.count():
                results.append(form(*batch))
            seconds.append(time.perf_counter() - start)
            counted.append(received.bytes)
        if not all(map(torch.equal, *results)):
            raise RuntimeError('the two forms have different results')
    everywhere = [None] * args.ranks
    torch_dist.all_gather_object(everywhere, (counted, seconds))
    if rank == 0:
        Path(folder, 'counted.json').write_text(json.dumps(everywhere))
    torch_dist.destroy_process_group()


def main() -> None:
    """Start the ranks and print the means of what they counted."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(
            work, (args, folder), args.ranks, start_method='fork')
        ranks = json.loads(Path(folder, 'counted.json').read_text())
    (ours, baseline), times = (
        [statistics.fmean(x for rank in ranks for x in rank[kind][form::2])
         for form in (0, 1)] for kind in (0, 1))
    print(f'{args.ranks} ranks of {args.batch_size} images: a rank receives '
          f'{ours / 1e6:.2f} MB a step ({times[0]:.2f} s), and '
          f'{baseline / 1e6:.2f} MB ({times[1]:.2f} s) if each gathers all')
    print(json.dumps(dict(
        ours=round(ours),
        baseline=round(baseline),
        ratio=round(baseline / ours, 3),
        unit='bytes received per rank and step',
        seconds=dict(ours=round(times[0], 3), baseline=round(times[1], 3)),
        config=dict(vars(args), backend='gloo', torch=torch.__version__))))


if __name__ == '__main__':
    with user_errors():
        main()
