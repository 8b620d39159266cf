# Copyright (c) mmloc contributors. All rights reserved.
"""Show what a run of tools/quickstart.sh gave: a table and a page.

Example:
    python tools/analysis_tools/quickstart_report.py work_dirs/quickstart
"""
import argparse
import json
import os
import platform
import random
import re
import shlex
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich import box
from rich.console import Console
from rich.table import Table

from mmloc.registry import DATASETS
from mmloc.utils.cli import user_errors
from mmloc.utils.stages import clock
from mmloc.visualization import (
    Report,
    draw_coco_detections,
    draw_composites,
    draw_curves,
    draw_loss_curve,
    read_scalars,
    save_image,
)

ROOT = Path(__file__).resolve().parents[2]
STARTS = {'from_insloc': 'InsLoc', 'from_scratch': 'new weights'}
COLUMNS = ('start', 'AP', 'AP50', 'time')
REMARK = (
    'One run of a toy task: both numbers vary with the seed, and they say '
    'nothing about photographs. docs/toy_benchmark.md has their spread over '
    'several seeds.')
COMPOSITES = (
    'The query and the key of a sample: two crops of one image, pasted onto '
    'two other images. The network is trained to find the same features in '
    'the solid box of both; on the coarsest level the query takes those of '
    'the dashed box.')
SKIPPED = ('{} of the images could not be read and were passed over: '
           'pretrain.log names them.')
CURVES = (
    'Loss and accuracy of telling the right key from those of other images. '
    'The loss is no measure of progress: it rises while keys take the place '
    'of the random features that the queue begins with, and again when the '
    'target network catches up with the online one.')
# So short a training leaves the scores of right detections low, too.
SCORE_THR = 0.15
DETECTIONS = (
    'The first images of the evaluation, not chosen: the true boxes, and the '
    f'detections with a score of at least {SCORE_THR}. Solid blue is right '
    '(IoU of at least 0.5 and the right class), dashed orange is wrong.')


class Run:
    """The files of a run.

    Args:
        work_dir (str): Its folder.

    Raises:
        FileNotFoundError: The folder holds no finished run.
    """

    def __init__(self, work_dir: str) -> None:
        self.work_dir = Path(work_dir)
        notes = json.loads((self.work_dir / 'quickstart.json').read_text())
        self.seed, self.stages = notes['seed'], notes['stages']
        self.seconds = {s['name']: s['seconds'] for s in self.stages}

    def config(self, stage: str) -> Config:
        """The config that a training had, as the tool left it there."""
        file, = (self.work_dir / stage).glob('*.py')
        return Config.fromfile(file)

    def checkpoint(self, stage: str) -> str:
        """The newest weights of a training."""
        path = (self.work_dir / stage / 'last_checkpoint').read_text()
        return str(Path(path).resolve())

    def score(self, stage: str, key: str) -> float:
        """A metric after the last epoch, in percent."""
        found = (self.work_dir / stage / 'val.bbox.json').read_text()
        if not json.loads(found):  # mmdet then leaves the metrics out
            return 0.0
        return 100 * read_scalars(self.work_dir / stage,
                                  f'coco/{key}')[1][-1]

    def transfer(self, stage: str) -> str:
        """What the log says on the weights that a training began with."""
        log = (self.work_dir / f'{stage}.log').read_text()
        match = re.search(r'Transfer from .*(?:\n[|+].*)*', log)
        return match[0] if match else ''

    def skipped(self) -> int:
        """How many images the pretraining could not read."""
        log = (self.work_dir / 'pretrain.log').read_text()
        # Each worker process tells of the files that it meets.
        return len(set(re.findall(r'Image skipped .*? so far\): (.*)', log)))

    def results(self) -> list:
        """The rows of the table, as texts."""
        rows = []
        for stage, start in STARTS.items():
            time = clock(self.seconds[stage])
            if stage == 'from_insloc':
                time = f'{clock(self.seconds["pretrain"])} + {time}'
            rows.append((start, f'{self.score(stage, "bbox_mAP"):.1f}',
                         f'{self.score(stage, "bbox_mAP_50"):.1f}', time))
        return rows


def composites(cfg: Config, num: int = 4) -> np.ndarray:
    """Draw the first samples that a pretraining config makes.

    Args:
        cfg (Config): The config.
        num (int): How many samples at most. Defaults to 4.

    Returns:
        np.ndarray: The sheet, (H, W, 3), uint8, BGR.
    """
    init_default_scope(cfg.default_scope)
    # The log of the training has named unreadable images already.
    MMLogger.get_instance('quickstart_report').setLevel('ERROR')
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return draw_composites([dataset[i] for i in range(min(num, len(dataset)))])


def fitting_detectors(cfg: Config) -> list:
    """Find the shipped detector configs that a pretraining config suits.

    Args:
        cfg (Config): The pretraining config.

    Returns:
        list[str]: Their paths in the checkout, Faster R-CNN first.
    """
    files = sorted((ROOT / 'configs').glob('*/downstream/*-pre_*.py'))
    return [str(file.relative_to(ROOT)) for file in files
            if _shape(Config.fromfile(file)) == _shape(cfg)]


def _shape(cfg: Config) -> list:
    """What of a network decides whether it takes another's weights."""
    backbone, neck = cfg.model.backbone, cfg.model.get('neck') or {}
    return [backbone.get(key) for key in ('type', 'depth', 'base_channels')
            ] + [neck.get(key) for key in ('type', 'out_channels')]


def environment() -> list:
    """What the run ran on, as rows of a table."""
    names = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'mmloc')
    cuda = torch.cuda.is_available()
    return [('machine', f'{platform.system()} {platform.machine()}, '
             f'{os.cpu_count()} CPU cores, '
             f'{torch.cuda.get_device_name() if cuda else "no GPU used"}'),
            ('Python', platform.python_version()),
            *((name, metadata.version(name)) for name in names)]


def make_report(run: Run) -> Report:
    """Make the page.

    Args:
        run (Run): The run.

    Returns:
        Report: The page, not written yet.
    """
    toy = 'from_insloc' in run.seconds
    report = Report('Pretraining without labels: what mmloc did')
    if toy:
        report.section('Result').text(_outcome(run))
        report.table(COLUMNS, run.results()).text(REMARK)
        report.section('What the detectors found')
        report.figure(_detections(run), DETECTIONS, photo=True)
    else:
        report.section('The weights').code(how_to_use(run))
        if run.skipped():
            report.text(SKIPPED.format(run.skipped()))
    report.section('What InsLoc is trained on')
    report.figure(composites(run.config('pretrain')), COMPOSITES, photo=True)
    report.section('The pretraining')
    report.figure(draw_loss_curve(run.work_dir / 'pretrain'), CURVES)
    if toy:
        report.section('The training of the detectors')
        logs = {name: run.work_dir / stage for stage, name in STARTS.items()}
        report.figure(draw_curves(logs, 'loss', 'training loss', 'iteration'))
        report.text('What the detector took from the pretraining:')
        report.code(run.transfer('from_insloc'))
    report.section('How to get this again')
    report.code('\n'.join(stage['command'] for stage in run.stages))
    report.table(('step', 'time'), [(stage['title'], clock(stage['seconds']))
                                    for stage in run.stages])
    return report.table(('environment', ''), environment())


def _outcome(run: Run) -> str:
    insloc, scratch = (run.score(stage, 'bbox_mAP') for stage in STARTS)
    data = run.config('from_insloc').train_dataloader.dataset
    labels = json.loads((Path(data.data_root) / data.ann_file).read_text())
    num = len(labels['images'])
    return (f'The same Faster R-CNN, trained in the same way on {num} images '
            'with labels, from two starts: the weights that InsLoc gave it '
            'on images without labels, and new ones. Seed '
            f'{run.seed}; the difference is {insloc - scratch:+.1f} AP.')


def _detections(run: Run) -> np.ndarray:
    data = run.config('from_insloc').val_dataloader.dataset
    root = Path(data.data_root)
    found = {name: run.work_dir / stage / 'val.bbox.json'
             for stage, name in STARTS.items()}
    return draw_coco_detections(
        root / data.ann_file, root / data.data_prefix.img, found, num=3,
        score_thr=SCORE_THR, side=320)


def how_to_use(run: Run) -> str:
    """Tell how a detector starts from the weights.

    Args:
        run (Run): The run.

    Returns:
        str: Some lines.
    """
    weights = run.checkpoint('pretrain')
    lines = [f"load_from = '{weights}'",
             '# in the config of a detector, or on the command line:']
    option = f'--load-from {shlex.quote(weights)}'
    fitting = fitting_detectors(run.config('pretrain'))
    lines += [f'python tools/train.py {file} {option}'
              for file in fitting]
    if not fitting:
        lines += [f'python tools/train.py DETECTOR_CONFIG {option}',
                  '# None of the shipped configs has a network of this shape.']
    return '\n'.join(lines)


def show(work_dir: str) -> None:
    """Write the page and print the table.

    Args:
        work_dir (str): Folder of the run. Relative paths of its configs
            start from the current folder.
    """
    run = Run(work_dir)
    console = Console(soft_wrap=True, highlight=False)
    with console.status('Drawing the report'):
        page = make_report(run).write(run.work_dir / 'report.html')
    if 'from_insloc' in run.seconds:
        table = Table(*COLUMNS, box=box.SIMPLE_HEAD)
        for row in run.results():
            table.add_row(*row)
        console.print(table)
        console.print(REMARK, soft_wrap=False)
        console.print()
    else:
        if run.skipped():
            console.print(SKIPPED.format(run.skipped()))
        console.print('\n' + how_to_use(run) + '\n', markup=False)
    console.print(f'Report: {page}', markup=False)


def main() -> None:
    """Do it for a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dir', help='folder of the run')
    parser.add_argument(
        '--composites', metavar='FILE.jpg',
        help='also write the picture of the composites there')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    with user_errors(args.traceback):
        show(args.work_dir)
        if args.composites:
            cfg = Run(args.work_dir).config('pretrain')
            print('Drew', save_image(composites(cfg), args.composites))


if __name__ == '__main__':
    main()
