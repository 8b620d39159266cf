# Copyright (c) mmloc contributors. All rights reserved.
"""Train a detector from several starts on fewer and fewer labels.

Each start, share of the labels and seed is a cell, trained by tools/train.py
in a process of its own. A cell that is done is never trained again, one that
was interrupted goes on, and one begun with other settings is refused, so the
same command continues a study, and more starts, shares or seeds extend it.
docs/low_label_study.md has examples and results.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import sys
from functools import partial
from multiprocessing import current_process
from pathlib import Path

import torch
from mmengine.config import DictAction
from rich.console import Console

from mmloc.engine import label_results, label_study, training_note
from mmloc.engine.label_study import Cell
from mmloc.utils.cli import user_errors
from mmloc.utils.files import atomic_write
from mmloc.utils.journal import Journal
from mmloc.utils.processes import map_unordered
from mmloc.utils.stages import run_stage
from mmloc.visualization import draw_label_curves, save_image

TRAIN = Path(__file__).resolve().parents[1] / 'train.py'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='the protocol: how a detector is '
                        'trained on all labels, and evaluated')
    parser.add_argument('--out', required=True, help='folder of the study')
    parser.add_argument(
        '--starts', nargs='+', required=True, metavar='NAME[=CHECKPOINT]',
        help='as --start of tools/train.py, with other weights after =; for '
        'a config that is no transfer protocol, any name with weights, and '
        'scratch. The others are compared with the first')
    parser.add_argument(
        '--fractions', nargs='+', type=float, default=[0.01, 0.1, 1.0],
        metavar='F', help='shares of the labelled images (default 0.01 0.1 '
        '1); smaller ones are parts of larger ones')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='N',
        help='each chooses images, the same for all starts, and seeds the '
        'training (default 0 1 2)')
    parser.add_argument(
        '--min-iters', type=int, metavar='N',
        help='few labels are trained on for as many epochs as all, but for N '
        'iterations at least: 0 for the same epochs everywhere, the whole '
        'number for the same iterations (default: a quarter of it)')
    parser.add_argument(
        '--metric', default='coco/bbox_mAP', help='what is compared')
    parser.add_argument(
        '--workers', type=int, default=1, help='cells trained at a time')
    parser.add_argument(
        '--dry-run', action='store_true', help='only show what there is to do')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='replace settings of the protocol')
    parser.add_argument(
        '--traceback', action='store_true',
        help='show the traceback of mistakes in the input too')
    return parser.parse_args()


class Study:
    """The cells, what is known of them and where.

    Args:
        args (argparse.Namespace): The command line.

    Raises:
        ValueError: If an argument is wrong, or a cell was begun otherwise.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.out = args, Path(args.out)
        self.configs = label_study.load_starts(
            args.config, args.starts, args.cfg_options)
        self.total, self.labels = label_study.count_labels(
            next(iter(self.configs.values())))
        self.images = label_study.count_images(args.fractions, self.total)
        # One seed after the other: the picture is soon whole, if coarse.
        self.cells = [
            Cell(start, images, seed) for seed in dict.fromkeys(args.seeds)
            for images in self.images for start in self.configs
        ]
        self.iters = {cell: self.prepare(cell)[1] for cell in self.cells}

    def prepare(self, cell: Cell) -> tuple:
        """Get the config of a cell, and its number of iterations."""
        return label_study.make_cell(
            self.configs[cell.start], cell, self.total, self.order(cell),
            self.args.min_iters)

    def order(self, cell: Cell) -> Path:
        """Where the order of the images of a cell's seed is."""
        return self.out / 'orders' / f'seed_{cell.seed}.txt'

    def result(self, cell: Cell) -> dict | None:
        """Read what a cell gave, None if it is not done."""
        path = self.out / cell.folder / 'result.json'
        return json.loads(path.read_text()) if path.exists() else None

    def check(self) -> None:
        """Refuse cells that are there and were begun otherwise."""
        for cell in self.cells:
            path = self.out / cell.folder / 'settings.json'
            if path.exists():
                training_note.check_same(
                    path, training_note.identify(*self.prepare(cell)))

    def show_plan(self) -> None:
        """Print what there is to do, and for how long."""
        done = [cell for cell in self.cells if self.result(cell)]
        print(f'{self.args.config}: {self.labels}.')
        for images in self.images:
            some = next(x for x in self.cells if x.images == images)
            print(f'{images:>9,} images: {self.iters[some]:,} iterations')
        print(f'{len(self.cells)} cells ({len(self.configs)} starts, '
              f'{len(self.images)} numbers of images, '
              f'{len(set(self.args.seeds))} seeds), {len(done)} done; '
              f'{self.estimate(done)}.')

    def estimate(self, done: list) -> str:
        """Guess how long the rest takes, from the cells that are done."""
        times = [self.result(x)['seconds'] / self.iters[x] for x in done
                 if not self.result(x)['resumed']]
        left = sum(self.iters[x] for x in self.cells if x not in done)
        if left == 0:
            return 'nothing is left to do'
        if not times:
            return f'{left:,} iterations, for a time that the first will tell'
        seconds = statistics.median(times) * left / self.args.workers
        return f'{left:,} iterations, about {seconds / 60:.0f} min'

    def train(self, cell: Cell) -> dict:
        """Train a cell, or the rest of it."""
        take_gpu()
        folder = self.out / cell.folder
        cfg, iters = self.prepare(cell)
        training_note.check_same(
            folder / 'settings.json', training_note.identify(cfg, iters))
        label_study.write_order(self.order(cell), self.total, cell.seed)
        config, run = folder / 'detector.py', folder / 'run'
        cfg.dump(str(config))
        resumed = run.exists()
        command = [sys.executable, str(TRAIN), str(config), '--work-dir',
                   str(run), '--seed', str(cell.seed), '--resume']
        title = f'{cell.start}, {cell.images} images, seed {cell.seed}'
        scores, seconds = label_results.read_scores(run), 0.0
        for last in (False, True):
            if scores:
                break
            if last and run.exists():
                # Killed between its end and the evaluation, a training has
                # nothing left to go on with: once more from the start.
                shutil.rmtree(run)
                resumed = False
            seconds = run_stage(title, command, str(folder / 'train.log'),
                                os.getcwd(), self.console)
            scores = label_results.read_scores(run)
        label_results.check_scores(scores, self.args.metric, run)
        result = dict(start=cell.start, images=cell.images, seed=cell.seed,
                      iterations=iters, seconds=round(seconds, 1),
                      resumed=resumed, **scores)
        with atomic_write(str(folder / 'result.json'), mode='w') as file:
            json.dump(result, file, indent=1)
        for weights in (*run.glob('*.pth'), run / 'last_checkpoint'):
            weights.unlink(missing_ok=True)
        return result

    @property
    def console(self) -> Console:
        """Console: Live lines of several cells would write on each other."""
        one = self.args.workers == 1
        return Console(force_terminal=None if one else False)

    def train_all(self) -> None:
        """Train all cells that are not done."""
        left = [cell for cell in self.cells if not self.result(cell)]
        if self.args.workers > 1:
            results = map_unordered(self.train, left, self.args.workers)
        else:
            results = ((cell, self.train(cell)) for cell in left)
        for number, (_, result) in enumerate(results, 1):
            print(f'{number} of {len(left)}: {self.args.metric} '
                  f'{result[self.args.metric]:.4f}', flush=True)
            self.publish()

    def publish(self) -> dict:
        """Write what is known so far; return the scores."""
        results = [x for x in map(self.result, self.cells) if x]
        scores = label_results.group_scores(results, self.args.metric)
        # In the order of the command line, whatever was trained first.
        scores = {x: scores[x] for x in self.configs if x in scores}
        label_results.write_csv(str(self.out / 'cells.csv'), results)
        for name, text in (('study.json', json.dumps(results, indent=1)),
                           ('table.md', label_results.label_table(scores))):
            with atomic_write(str(self.out / name), True, 'w') as file:
                file.write(text)
        picture = draw_label_curves(
            {start: {n: list(seeds.values()) for n, seeds in images.items()}
             for start, images in scores.items()},
            f'{Path(self.args.config).stem}: mean, lowest and highest of '
            f'{len(set(self.args.seeds))} seeds', f'{self.args.metric} (%)')
        save_image(picture, str(self.out / 'study.png'))
        return scores


def take_gpu() -> None:
    """In one of several processes, use one GPU: each another, if there are
    enough."""
    number = re.fullmatch(r'ForkProcess-(\d+)', current_process().name)
    gpus = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')
    gpus = gpus if gpus[0] else range(torch.cuda.device_count())
    if number and len(gpus) > 1:
        os.environ['CUDA_VISIBLE_DEVICES'] = str(
            gpus[int(number[1]) % len(gpus)])


def end(workers: int, number: int, _) -> None:
    """End on a signal, and with this program the trainings, which save."""
    print(f'ended by signal {number}; the same command goes on',
          file=sys.stderr, flush=True)
    if workers > 1:  # they follow this process, but it would wait for them
        os._exit(128 + number)
    sys.exit(128 + number)


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with user_errors(args.traceback):
        study = Study(args)
        study.check()
        study.show_plan()
        if args.dry_run:
            return
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, partial(end, args.workers))
        # Keeps a second process out.
        with Journal(str(study.out / 'lock')) as journal:
            journal.begin(dict(what='low-label study'), 0)
            study.train_all()
            scores = study.publish()
        print((study.out / 'table.md').read_text())
        print(json.dumps(dict(
            out=str(study.out), cells=len(study.cells), metric=args.metric,
            scores=scores)))


if __name__ == '__main__':
    main()
