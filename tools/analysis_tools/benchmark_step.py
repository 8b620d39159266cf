# Copyright (c) mmloc contributors. All rights reserved.
"""Time the training step of pretraining configs against a plain one.

A step is forward, backward and optimizer step on one batch, made of generated
images by the config's own pipeline and already on the device; loading is not
part of it. The baseline is the same model in float32, eager, with maps in
contiguous order, mmcv's RoIAlign and a call of the box head for each view, box
set and level, or another config. Both take turns, so that a change of the
machine's load hits both. The last line is JSON.

    python tools/analysis_tools/benchmark_step.py CONFIG --batch-size 16
    python tools/analysis_tools/benchmark_step.py CONFIG CONFIG --device cuda \
        --batch-size 256 --dtype float32 bfloat16

Several configs and types run one after the other, each with a line of JSON.
The last line then has `runs`, all of them, and the rates of the run with the
lowest ratio. A run that does not fit in the device's memory leaves an `error`,
and the exit status is 1.

On a GPU time is that between two events of the device, which is waited for at
the ends only; on a CPU it is the time that the process was running, which the
load of other programs changes little. Operations are counted by torch's
FlopCounterMode in the baseline's step: convolutions and matrix products, not
BatchNorm, RoIAlign, loss or optimizer. The peak is that of a large matrix
product in the same run, of the same type of numbers. The peak of memory is
that of weights, buffers and what a step takes besides; on a CPU (of Linux) it
is read off the resident memory of the process.
"""
import argparse
import copy
import ctypes
import itertools
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import set_random_seed
from torch.utils.flop_counter import FlopCounterMode

from mmloc.datasets.toy import ToyParams, make_toy_dataset
from mmloc.registry import MODELS
from mmloc.utils.cli import user_errors

WRAPPERS = dict(
    float32=dict(type='OptimWrapper'),
    bfloat16=dict(type='mmloc.AutocastOptimWrapper'),
    float16=dict(type='AmpOptimWrapper', dtype='float16'))
PLAIN = {
    'model.channels_last': False,
    'model.join_parts': False,
    'model.roi_head.bbox_roi_extractor.by_matmul': False
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG',
        help='the pretraining configs to time')
    add('--options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings of the config to replace')
    add('--baseline', metavar='CONFIG', default='plain',
        help="another config, 'plain' (default) or 'none'")
    add('--dtype', nargs='+', choices=WRAPPERS, default=['float32'],
        help='of convolutions and products (default float32)')
    add('--compile', action='store_true',
        help='compile backbone and neck by torch.compile')
    add('--batch-size', type=int, default=8, metavar='N')
    add('--images', type=int, default=8, metavar='N',
        help='different images in the batch (default 8)')
    add('--steps', type=int, default=3, metavar='N',
        help='steps of a turn (default 3)')
    add('--turns', type=int, default=3, metavar='N',
        help='timed turns of each (default 3, after two steps of each)')
    add('--threads', type=int, default=1, metavar='N',
        help='CPU threads of a step (default 1)')
    add('--device', default='cpu', help="'cpu' (default) or 'cuda'")
    return parser.parse_args()


def use_folder(pipeline: list) -> list:
    """Let a pipeline compute its proposals instead of reading a file."""
    generate = dict(
        type='mmloc.GenerateProposals', cache_dir=None, on_empty='whole_image')
    return [
        generate if step['type'] == 'mmloc.LoadProposals' else step
        for step in pipeline
    ]


def make_batch(config: str, options: dict, args: argparse.Namespace) -> dict:
    """Make a batch of a few generated images, again and again."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    init_default_scope(cfg.default_scope)
    set_random_seed(0)
    num = min(args.images, args.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        toy = str(Path(folder) / 'toy')
        make_toy_dataset(
            toy, ToyParams(unlabeled=num, train=1, val=1), workers=1)
        images = outer = cfg.train_dataloader.dataset
        while 'dataset' in images:
            images = images.dataset
        images.update(
            data_root=toy, ann_file='', data_prefix=dict(img='unlabeled'),
            pipeline=use_folder(images.pipeline))
        dataset = DATASETS.build(outer)
        samples = [dataset[i] for i in range(num)]
    return pseudo_collate([
        copy.deepcopy(samples[i % num]) for i in range(args.batch_size)
    ])


class Step:
    """The training step of a config on a fixed batch."""

    def __init__(self, config: str, options: dict, batch: dict, dtype: str,
                 args: argparse.Namespace) -> None:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(options)
        set_random_seed(0)
        if 'end_momentum' in cfg.model.target:
            cfg.model.target.total_steps = 10000
        self.device = args.device
        model = MODELS.build(cfg.model)
        model.init_weights()
        self.model = revert_sync_batchnorm(model).to(args.device).train()
        wrapper = dict(
            optimizer=cfg.optim_wrapper.optimizer, **WRAPPERS[dtype])
        self.optimizer = build_optim_wrapper(self.model, wrapper)
        batch = copy.deepcopy(batch)
        self.batch = self.model.data_preprocessor(batch, True)
        self.seconds, self.loss = [], None

    @property
    def static(self) -> int:
        """Bytes of weights and buffers."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        return sum(x.numel() * x.element_size() for x in tensors)

    def run(self) -> None:
        """Run a step."""
        with self.optimizer.optim_context(self.model):
            losses = self.model(**self.batch, mode='loss')
        self.loss, _ = self.model.parse_losses(losses)
        self.optimizer.update_params(self.loss)

    def count(self) -> int:
        """Operations of a step."""
        with FlopCounterMode(display=False) as counter:
            self.run()
        return counter.get_total_flops()

    def time(self, steps: int) -> None:
        """Note the time of a step, the mean of several."""
        self.seconds.append(seconds_of(self.run, steps, self.device))

    def report(self, size: int, flops: int, peak: float) -> dict:
        """Rates of the median turn."""
        seconds = statistics.median(self.seconds)
        return dict(
            images_per_s=round(size / seconds, 3),
            ms=round(seconds * 1e3, 2),
            peak_memory_gb=round(self.peak_memory / 1e9, 2),
            tflops_per_s=round(flops / seconds / 1e12, 3),
            share_of_peak=round(flops / seconds / peak, 3),
            first_loss=self.first_loss)

    def warm_up(self) -> int:
        """Run a step to count its operations, and one for its memory."""
        flops = self.count()
        self.first_loss = self.loss.item()
        before = restart_peak(self.device)
        self.run()
        self.peak_memory = peak_memory(self.device) - before + self.static
        return flops


def restart_peak(device: str) -> int:
    """Begin the peak of memory anew; the bytes in use."""
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)  # or memory that is kept hides a peak
    Path('/proc/self/clear_refs').write_text('5')
    return peak_memory(device)


def peak_memory(device: str) -> int:
    """The most bytes in use since :func:`restart_peak`."""
    if device != 'cpu':
        return torch.cuda.max_memory_allocated()
    status = Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s*(\d+) kB', status)[1]) * 1024


def seconds_of(run: Callable, times: int, device: str) -> float:
    """Mean time of a call."""
    if device == 'cpu':
        start = time.process_time()
        for _ in range(times):
            run()
        return (time.process_time() - start) / times
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(times):
        run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / times


def measured_peak(dtype: str, device: str) -> float:
    """Operations per second of a large matrix product."""
    size = 1024 if device == 'cpu' else 8192
    a, b = (torch.randn(size, size, device=device, dtype=getattr(torch, dtype))
            for _ in range(2))
    seconds_of(lambda: a @ b, 3, device)
    return 2 * size**3 / min(
        seconds_of(lambda: a @ b, 10, device) for _ in range(3))


def compare(config: str, dtype: str, args: argparse.Namespace) -> dict:
    """Time a config and its baseline in turns."""
    batch = make_batch(config, args.options, args)
    steps = [Step(config, args.options, batch, dtype, args)]
    if args.baseline != 'none':
        plain = args.baseline == 'plain'
        options = {**args.options, **PLAIN} if plain else {}
        steps.append(
            Step(config if plain else args.baseline, options, batch, 'float32',
                 args))
        if plain:
            steps[0].model.load_state_dict(
                copy.deepcopy(steps[1].model.state_dict()))
    flops = [step.warm_up() for step in steps][-1]
    if args.compile:
        steps[0].model.compile()
        steps[0].run()
    for _ in range(args.turns):
        for step in steps:
            step.time(args.steps)
    peaks = [measured_peak(x, args.device) for x in (dtype, 'float32')]
    reports = [
        step.report(args.batch_size, flops, peak)
        for step, peak in zip(steps, peaks)
    ]
    rates = [report.pop('images_per_s') for report in reports] + [None]
    return dict(
        ours=rates[0],
        baseline=rates[1],
        ratio=rates[1] and round(rates[0] / rates[1], 3),
        unit='images/s',
        step=reports[0],
        baseline_step=reports[1] if rates[1] else None,
        gflops_per_image=round(flops / args.batch_size / 1e9, 2),
        peak_tflops_per_s=dict(
            zip((dtype, 'float32'),
                (round(peak / 1e12, 3) for peak in peaks))),
        config=settings(config, dtype, args))


def settings(config: str, dtype: str, args: argparse.Namespace) -> dict:
    """What a run was made with."""
    shown = dict(vars(args), config=config, dtype=dtype)
    del shown['configs']
    return dict(
        shown,
        options=str(args.options),
        torch=torch.__version__,
        conv_tf32=torch.backends.cudnn.allow_tf32,
        matmul_tf32=torch.backends.cuda.matmul.allow_tf32,
        gpu=torch.cuda.get_device_name() if args.device != 'cpu' else None)


def main() -> int:
    """Time the steps and print the rates."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    MMLogger.get_instance('mmloc', log_level='WARNING')
    runs = []
    for config, dtype in itertools.product(args.configs, args.dtype):
        try:
            runs.append(compare(config, dtype, args))
        except torch.OutOfMemoryError as error:
            runs.append(dict(
                error=str(error).splitlines()[0],
                config=settings(config, dtype, args)))
        print(json.dumps(runs[-1]), flush=True)
    done = [run for run in runs if 'error' not in run]
    if len(runs) > 1:
        worst = min(done, key=lambda run: run['ratio'] or 0, default={})
        names = ('ours', 'baseline', 'ratio', 'unit', 'config')
        print(json.dumps(dict(
            {name: worst.get(name) for name in names}, runs=runs)))
    return int(len(done) < len(runs))


if __name__ == '__main__':
    with user_errors():
        sys.exit(main())
