# Copyright (c) mmloc contributors. All rights reserved.
"""Show what a run of tools/quickstart.sh gave: a table and a page.

Example:
    python tools/analysis_tools/quickstart_report.py work_dirs/quickstart
"""
import argparse
import json
import os
import platform
import re
import shlex
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from rich import box
from rich.console import Console
from rich.table import Table

from mmloc.utils.cli import user_errors
from mmloc.utils.stages import clock
from mmloc.visualization import (
    Report,
    draw_coco_detections,
    draw_curves,
    draw_loss_curve,
    draw_samples,
    read_scalars,
)

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ('start', 'AP', 'AP50', 'time')
REMARK = (
    'One run of a toy task: all numbers vary with the seed, and they say '
    'nothing about photographs. docs/toy_benchmark.md has their spread over '
    'several seeds.')
#: What is said on the pictures of what a method is trained on.
SAMPLES = dict(
    insloc=(
        'The query and the key of a sample: two crops of one image, pasted '
        'onto two other images. The network is trained to find the same '
        'features in the solid box of both; on the coarsest level the query '
        'takes those of the dashed box.'),
    soco=(
        'The views of four images in pairs, in their relative sizes. Boxes '
        'are object proposals that both views of a pair show; a line joins '
        'two that are the same object, in which the network is trained to '
        'find the same features. The colour is the level of the pyramid that '
        'these are taken from: it goes by the size in the view, so one object '
        'can be on two levels. Gray rectangles are cut out on purpose.'))
#: And on its loss.
CURVES = dict(
    insloc=(
        'Loss and accuracy of telling the right key from those of other '
        'images. The loss is no measure of progress: it rises while keys take '
        'the place of the random features that the queue begins with, and '
        'again when the target network catches up with the online one.'),
    soco=(
        'The loss, and its terms: for each pair of views and in both '
        'directions, minus twice the cosine between what is predicted for a '
        'box and what the target network finds in the other view, so each is '
        'at least -2. The loss is no measure of progress: features that are '
        'the same everywhere would bring it down, too.'))
SKIPPED = ('{} of the images could not be read and were passed over: '
           '{}.log names them.')
REDRAWN = (
    'In the mean {:.3f} samples were given up for each one used, as they had '
    'no proposals or their views showed none in common.')
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
        self.methods = notes['methods']
        self.seconds = {s['name']: s['seconds'] for s in self.stages}
        starts = dict(self.methods, scratch='new weights')
        #: Stage of each detector -> where it starts from.
        self.starts = {f'from_{start}': title
                       for start, title in starts.items()
                       if f'from_{start}' in self.seconds}

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

    def skipped(self, method: str) -> str:
        """Say how many images a pretraining could not read, '' if none."""
        stage = f'pretrain_{method}'
        log = (self.work_dir / f'{stage}.log').read_text()
        # Each worker process tells of the files that it meets.
        num = len(set(re.findall(r'Image skipped .*? so far\): (.*)', log)))
        return SKIPPED.format(num, stage) if num else ''

    def redrawn(self, method: str) -> str:
        """Say how often samples were drawn anew, '' if the log does not."""
        try:
            _, values = read_scalars(self.work_dir / f'pretrain_{method}',
                                     'redrawn')
        except ValueError:
            return ''
        return REDRAWN.format(values.mean())

    def results(self) -> list:
        """The rows of the table, as texts."""
        rows = []
        for stage, start in self.starts.items():
            method = stage.removeprefix('from_')
            parts = [f'proposals_{method}', f'pretrain_{method}', stage]
            time = ' + '.join(clock(self.seconds[part]) for part in parts
                              if part in self.seconds)
            rows.append((start, f'{self.score(stage, "bbox_mAP"):.1f}',
                         f'{self.score(stage, "bbox_mAP_50"):.1f}', time))
        return rows


def fitting_detectors(cfg: Config) -> list:
    """Find the shipped detector configs of a method that a config suits.

    Args:
        cfg (Config): The pretraining config.

    Returns:
        list[str]: Their paths in the checkout, those of COCO and of Faster
        R-CNN first.
    """
    method = cfg.model.type.rpartition('.')[2].lower()
    files = sorted(
        (ROOT / 'configs' / method).glob('downstream/*-pre_*.py'),
        key=lambda file: (not file.stem.endswith('_coco'), file))
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
    report = Report('Pretraining without labels: what mmloc did')
    if run.starts:
        report.section('Result').text(_outcome(run))
        report.table(COLUMNS, run.results()).text(REMARK)
        report.section('What the detectors found')
        report.figure(_detections(run), DETECTIONS, photo=True)
    else:
        report.section('The weights').code(how_to_use(run))
        for method in run.methods:
            report.text(run.skipped(method))
    for method, title in run.methods.items():
        _add_method(report, run, method, title)
    if run.starts:
        report.section('The training of the detectors')
        logs = {name: run.work_dir / stage
                for stage, name in run.starts.items()}
        report.figure(draw_curves(logs, 'loss', 'training loss', 'iteration'))
        for method, title in run.methods.items():
            report.text(f'What the detector took from {title}:')
            report.code(run.transfer(f'from_{method}'))
    report.section('How to get this again')
    report.code('\n'.join(stage['command'] for stage in run.stages))
    report.table(('step', 'time'), [(stage['title'], clock(stage['seconds']))
                                    for stage in run.stages])
    return report.table(('environment', ''), environment())


def _add_method(report: Report, run: Run, method: str, title: str) -> None:
    """Show what a method is trained on, and how that went."""
    stage = f'pretrain_{method}'
    report.section(f'What {title} is trained on')
    # The log of the training has named unreadable images already.
    MMLogger.get_instance('quickstart_report').setLevel('ERROR')
    report.figure(draw_samples(run.config(stage)), SAMPLES.get(method, ''),
                  photo=True)
    report.text(run.redrawn(method))
    report.section(f'The pretraining by {title}')
    report.figure(draw_loss_curve(run.work_dir / stage),
                  CURVES.get(method, ''))


def _outcome(run: Run) -> str:
    *pretrained, scratch = (
        run.score(stage, 'bbox_mAP') for stage in run.starts)
    data = run.config('from_scratch').train_dataloader.dataset
    labels = json.loads((Path(data.data_root) / data.ann_file).read_text())
    num = len(labels['images'])
    gains = ', '.join(f'{score - scratch:+.1f} AP with {title}' for
                      score, title in zip(pretrained, run.methods.values()))
    gave = ' and '.join(run.methods.values())
    return (f'The same Faster R-CNN, trained in the same way on {num} images '
            f'with labels, from {len(run.starts)} starts: the weights that '
            f'{gave} gave it on images without labels, and new ones. Seed '
            f'{run.seed}; the difference to new weights is {gains}.')


def _detections(run: Run) -> np.ndarray:
    data = run.config('from_scratch').val_dataloader.dataset
    root = Path(data.data_root)
    found = {name: run.work_dir / stage / 'val.bbox.json'
             for stage, name in run.starts.items()}
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
    method, = run.methods
    weights = run.checkpoint(f'pretrain_{method}')
    lines = [f"load_from = '{weights}'",
             '# in the config of a detector, or on the command line:']
    option = f'--load-from {shlex.quote(weights)}'
    fitting = fitting_detectors(run.config(f'pretrain_{method}'))
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
    if run.starts:
        table = Table(*COLUMNS, box=box.SIMPLE_HEAD)
        for row in run.results():
            table.add_row(*row)
        console.print(table)
        console.print(REMARK, soft_wrap=False)
        console.print()
    else:
        for method in run.methods:
            if text := run.skipped(method):
                console.print(text)
        console.print('\n' + how_to_use(run) + '\n', markup=False)
    console.print(f'Report: {page}', markup=False)


def main() -> None:
    """Do it for a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dir', help='folder of the run')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    with user_errors(args.traceback):
        show(args.work_dir)


if __name__ == '__main__':
    main()
