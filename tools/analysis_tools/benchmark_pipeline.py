# Copyright (c) mmloc contributors. All rights reserved.
"""Measure what loading and augmenting cost: samples per second and core.

The datasets of the configs are run in this process, on one thread, and the
CPU time of the process is taken. ``--baseline`` adds the papers' augmentations
of the first config written plainly (``plain_views.py``). All take turns, so
that a change of the machine's load hits all; the ratio is the median of those
of the turns, ``best_ratio`` that of the least times, which others on the
machine have disturbed least. Another round takes the time of each stage apart.
What the pipeline leaves to the data preprocessor, crops and colours of SoCo,
is not in these figures; ``--preprocess`` adds it, on the CPU.
``--run`` trains the first config for some iterations, on the GPU if there is
one, and says which share of the time of their second half was spent waiting
for data, and how long the data preprocessor takes. The last line is JSON, of
the first config.

    python tools/dataset_tools/generate_proposals.py FOLDER p.mmprop
    python tools/analysis_tools/benchmark_pipeline.py CONFIG [CONFIG ...] \
        --images FOLDER --proposals p.mmprop --baseline
"""
import argparse
import json
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose
from mmengine.device import get_device, is_cuda_available
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, FUNCTIONS, init_default_scope
from mmengine.runner import Runner, set_random_seed
from plain_views import plain_pipeline

from mmloc.datasets.unreadable import walk_datasets
from mmloc.engine import launch
from mmloc.registry import MODELS
from mmloc.utils.cli import building, user_errors

#: Which transforms count for which stage; all others are 'other'.
STAGES = dict(
    decode=('LoadImage', ),
    geometry=('MultiView', 'Steps', 'RandomResizedCrop', 'Resize',
              'PasteInstance', 'RandomFlip'),
    matching=('LoadProposals', 'GenerateProposals', 'SelectMatches',
              'AugmentBoxes'),
    photometric=('RandomApply', 'ColorJitter', 'RandomGrayscale', 'Solarize',
                 'GaussianBlur', 'CutoutInBoxes'),
    packing=('PackRegionInputs', 'PackDetInputs'))
_STAGE_OF = {kind: stage for stage, kinds in STAGES.items() for kind in kinds}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG')
    add('--images', required=True, metavar='FOLDER')
    add('--proposals', metavar='FILE',
        help='of these images, for configs that read such a file')
    add('--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings of all configs to replace')
    add('--baseline', action='store_true')
    add('--preprocess', action='store_true',
        help="let the model's data preprocessor work too, on this thread")
    add('--rounds', type=int, default=20, metavar='N')
    add('--samples', type=int, default=32, metavar='N',
        help='samples of each pipeline in a round (default 32)')
    add('--batch-size', type=int, default=32, metavar='N')
    add('--run', type=int, metavar='N',
        help='iterations of training for the share of waiting, in batches\n'
        'of --batch-size')
    add('--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    for name in ('rounds', 'samples', 'batch_size'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} is below 1')
    if args.run is not None and args.run < 2:
        parser.error('--run is below 2, but the first iteration starts the '
                     'workers and is not counted')
    return args


def load(name: str, args: argparse.Namespace) -> Config:
    """Read a config and let it use the images of the command line."""
    cfg = launch.load_config(name, args.cfg_options)
    init_default_scope(cfg.default_scope)
    images = outer = cfg.train_dataloader.dataset
    while 'dataset' in images:
        images = images.dataset
    images.update(
        data_root='', ann_file='', data_prefix=dict(img=args.images))
    for step in [*images.pipeline, *outer.pipeline]:
        if step['type'] == 'mmloc.LoadProposals':
            if args.proposals is None:
                raise ValueError(
                    f'{name} reads a proposal file, but --proposals is not '
                    'given; make one by tools/dataset_tools/'
                    'generate_proposals.py')
            step['proposal_file'] = args.proposals
    return cfg


class Pipeline:
    """A config's dataset, collation and perhaps data preprocessor.

    Attributes:
        stages (Counter): CPU seconds of each stage in :meth:`run_staged`.
    """

    def __init__(self, cfg: Config, args: argparse.Namespace) -> None:
        with building(cfg.filename):
            self.dataset = DATASETS.build(cfg.train_dataloader.dataset)
            self.preprocess = args.preprocess and MODELS.build(
                cfg.model.data_preprocessor)
        collate = cfg.train_dataloader.get(
            'collate_fn', dict(type='pseudo_collate'))
        self.collate = FUNCTIONS.get(collate['type'])
        self.args = args
        self.stages: Counter = Counter()
        self._running: list[str] = []
        self._since = 0.

    def run(self) -> None:
        """Make the samples of a round, batch by batch."""
        for batch in _batches(len(self.dataset), self.args):
            batch = self.collate([self.dataset[i] for i in batch])
            if self.preprocess:
                self.preprocess(batch, True)

    def run_staged(self) -> None:
        """Make them once more and note what each stage takes."""
        self.collate = self._timed(self.collate, 'collate')
        if self.preprocess:
            self.preprocess = self._timed(self.preprocess, 'preprocess')
        for transform in _transforms(self.dataset):
            stage = _STAGE_OF.get(type(transform).__name__, 'other')
            transform.transform = self._timed(transform.transform, stage)
        self._timed(self.run, 'other')()

    def _timed(self, function: Callable, stage: str) -> Callable:
        def timed(*args, **kwargs):
            self._switch()
            self._running.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._running.pop()
        return timed

    def _switch(self) -> None:
        """Book the time since the last switch to the innermost stage."""
        now = time.process_time()
        if self._running:
            self.stages[self._running[-1]] += now - self._since
        self._since = now


class Baseline:
    """The plain pipeline on the images of a dataset."""

    def __init__(self, cfg: Config, dataset, args: argparse.Namespace) -> None:
        self.views = plain_pipeline(cfg)
        self.paths = [
            dataset.get_data_info(i)['img_path'] for i in range(len(dataset))
        ]
        self.args = args

    def run(self) -> None:
        """Make the samples of a round, batch by batch."""
        for batch in _batches(len(self.paths), self.args):
            samples = [self.views(self.paths, i) for i in batch]
            if len({view.shape for view in samples[0]}) == 1:
                torch.utils.data.default_collate(samples)
                continue
            [torch.stack(view) for view in zip(*samples)]


def _batches(num: int, args: argparse.Namespace) -> Iterator[list[int]]:
    """Indices of a round in batches."""
    order = np.resize(np.random.permutation(num), args.samples).tolist()
    for i in range(0, args.samples, args.batch_size):
        yield order[i:i + args.batch_size]


def _transforms(dataset) -> Iterator[BaseTransform]:
    """All transforms of a dataset and of those that it wraps, once each."""
    todo = [inner.pipeline for inner in walk_datasets(dataset)]
    seen = set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, (list, tuple)):
            todo += item
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, (Compose, BaseTransform)):
            todo += vars(item).values()
            if isinstance(item, BaseTransform):
                yield item


def measure(pipelines: dict, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each pipeline in each round, after one for warming up.

    Args:
        pipelines (dict): Objects with ``run``, by name.
        rounds (int): Number of rounds.

    Returns:
        dict[str, list[float]]: By name.
    """
    seconds = defaultdict(list)
    for seed in range(rounds + 1):
        for name, pipeline in pipelines.items():
            set_random_seed(seed)
            random.seed(seed)
            start = time.process_time()
            pipeline.run()
            seconds[name].append(time.process_time() - start)
    return {name: times[1:] for name, times in seconds.items()}


def waiting_share(cfg: Config, args: argparse.Namespace) -> dict:
    """Train and compare the time of waiting for data with the whole.

    Args:
        cfg (Config): A pretraining config with its images set.
        args (argparse.Namespace): The options.

    Returns:
        dict: Seconds of an iteration, of waiting in it and of the data
        preprocessor, and shares of the iteration.
    """
    cfg.train_dataloader.update(
        batch_size=args.batch_size,
        sampler=dict(type='InfiniteSampler', shuffle=True))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.run)
    cfg.param_scheduler = []
    if 'end_momentum' in cfg.model.get('target', {}):
        cfg.model.target.total_steps = args.run
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        launch.set_amp(cfg, None)
        runner = launch.build_runner(cfg, 'train')
        runner.train()
        history = runner.message_hub.log_scalars
    # At first there are batches that workers have made ahead.
    skipped = args.run // 2
    whole, waiting = (
        float(np.mean(history[f'train/{name}'].data[0][skipped:]))
        for name in ('time', 'data_time'))
    preprocessing = preprocess_seconds(runner, args.batch_size)
    return dict(
        iterations=args.run - skipped,
        workers=cfg.train_dataloader.num_workers,
        device=get_device(),
        rate=round(args.batch_size / whole, 1),
        iteration_s=round(whole, 4),
        data_time_s=round(waiting, 4),
        data_share=round(waiting / whole, 4),
        preprocess_s=round(preprocessing, 4),
        preprocess_share=round(preprocessing / whole, 4))


def preprocess_seconds(runner: Runner, num: int) -> float:
    """Time the data preprocessor alone, from the collated batch on.

    Args:
        runner (Runner): With a model and data for training.
        num (int): Samples of the batch.

    Returns:
        float: Seconds, until the device is ready; median of several calls.
    """
    loader, seconds = runner.train_dataloader, []
    batch = loader.collate_fn(
        [loader.dataset[i % len(loader.dataset)] for i in range(num)])
    wait = torch.cuda.synchronize if is_cuda_available() else bool
    for _ in range(6):
        wait()
        start = time.perf_counter()
        runner.model.data_preprocessor(batch, True)
        wait()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    MMLogger.get_instance('mmloc', log_level='WARNING')
    cfgs = {name: load(name, args) for name in args.configs}
    pipelines: dict = {
        name: Pipeline(cfg, args) for name, cfg in cfgs.items()
    }
    first = args.configs[0]
    if args.baseline:
        pipelines['baseline'] = Baseline(cfgs[first],
                                         pipelines[first].dataset, args)
    seconds = measure(pipelines, args.rounds)
    results = {name: _summary(seconds, name, args) for name in pipelines}
    for name in cfgs:
        pipelines[name].run_staged()
        results[name]['stages_ms'] = {
            stage: round(taken / args.samples * 1e3, 3)
            for stage, taken in pipelines[name].stages.most_common()
        }
    for name, result in results.items():
        print(name, json.dumps(result))
    base = results.get('baseline', {}).get('rate')
    print(json.dumps(dict(
        ours=results[first]['rate'],
        baseline=base,
        ratio=results[first].get('ratio'),
        best_ratio=results[first].get('best_ratio'),
        unit='samples/s/core',
        stages_ms=results[first]['stages_ms'],
        run=waiting_share(load(first, args), args) if args.run else None,
        config=dict(vars(args), torch=torch.__version__,
                    opencv=cv2.__version__))))


def _summary(seconds: dict, name: str, args: argparse.Namespace) -> dict:
    """Rate and ratio of a pipeline, at the median and at its best."""
    own, base = seconds[name], seconds.get('baseline')
    result = dict(
        rate=round(args.samples / statistics.median(own), 1),
        best_rate=round(args.samples / min(own), 1))
    if base is not None and name != 'baseline':
        ratios = [b / o for b, o in zip(base, own)]
        result['ratio'] = round(statistics.median(ratios), 2)
        result['best_ratio'] = round(min(base) / min(own), 2)
    return result


if __name__ == '__main__':
    with user_errors():
        main()
