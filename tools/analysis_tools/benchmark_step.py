# Copyright (c) mmloc contributors. All rights reserved.
"""Time the training step of a pretraining config against another one's.

A step is forward, backward and optimizer step on one batch that the config's
own pipeline made of generated images; loading is not part of it. The two
configs take turns, so that a change of the machine's load hits both. The last
line is JSON.

    python tools/analysis_tools/benchmark_step.py CONFIG \
        --options model.roi_head.bbox_roi_extractor.type=... --baseline CONFIG
"""
import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import set_random_seed

from mmloc.datasets.toy import ToyParams, make_toy_dataset
from mmloc.registry import MODELS
from mmloc.utils.cli import user_errors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', help='the pretraining config to time')
    add('--options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings of the config to replace')
    add('--baseline', metavar='CONFIG',
        help='another config, or the same one without the options')
    add('--batch-size', type=int, default=8, metavar='N')
    add('--steps', type=int, default=5, metavar='N',
        help='timed steps of each (default 5, after one that is not timed)')
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


class Step:
    """The training step of a config on a fixed batch."""

    def __init__(self, config: str, options: dict, folder: str,
                 args: argparse.Namespace) -> None:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(options)
        init_default_scope(cfg.default_scope)
        set_random_seed(0)
        images = outer = cfg.train_dataloader.dataset
        while 'dataset' in images:
            images = images.dataset
        images.update(
            data_root=folder, ann_file='', data_prefix=dict(img='unlabeled'),
            pipeline=use_folder(images.pipeline))
        dataset = DATASETS.build(outer)
        self.data = pseudo_collate(
            [dataset[i] for i in range(args.batch_size)])
        if 'end_momentum' in cfg.model.target:
            cfg.model.target.total_steps = 100
        model = MODELS.build(cfg.model)
        model.init_weights()
        self.model = revert_sync_batchnorm(model).to(args.device).train()
        self.optimizer = build_optim_wrapper(
            self.model, dict(cfg.optim_wrapper, type='OptimWrapper'))
        self.seconds = []

    def run(self, timed: bool) -> None:
        """Run a step and note its time."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        self.model.train_step(self.data, self.optimizer)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if timed:
            self.seconds.append(time.perf_counter() - start)


def main() -> None:
    """Time the steps and print the rates."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    MMLogger.get_instance('mmloc', log_level='WARNING')
    with tempfile.TemporaryDirectory() as folder:
        toy = str(Path(folder) / 'toy')
        make_toy_dataset(
            toy,
            ToyParams(unlabeled=args.batch_size, train=1, val=1),
            workers=1)
        steps = [Step(args.config, args.options, toy, args)]
        if args.baseline:
            steps.append(Step(args.baseline, {}, toy, args))
    for timed in [False] + [True] * args.steps:
        for step in steps:
            step.run(timed)
    rates = [
        args.batch_size / statistics.median(step.seconds) for step in steps
    ]
    ours, baseline = rates[0], rates[1] if args.baseline else None
    print(f'{args.config}: {ours:.2f} samples/s'
          + (f', {args.baseline}: {baseline:.2f}' if baseline else ''))
    print(json.dumps(dict(
        ours=round(ours, 3),
        baseline=baseline and round(baseline, 3),
        ratio=baseline and round(ours / baseline, 3),
        unit='samples/s',
        config=dict(
            config=args.config, options=str(args.options),
            baseline=args.baseline, batch_size=args.batch_size,
            steps=args.steps, threads=args.threads, device=args.device,
            torch=torch.__version__))))


if __name__ == '__main__':
    with user_errors():
        main()
