# Copyright (c) mmloc contributors. All rights reserved.
"""Pretrain a detector without labels, and see what that is worth.

Without --images: makes the toy set, pretrains InsLoc on its images without
labels, trains a detector on few labels from that and from new weights, and
prints a table and the path of a report with pictures. With --images: pretrains
on the images of a folder and leaves weights ready for a detector config.
"""
# Only the standard library here, and no new syntax: quickstart.sh reads the
# arguments with any Python, before the set-up.
import argparse
import json
import os
import re
import shlex
import signal
import sys
import time
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOY = 'configs/insloc/insloc_r18_fpn_toy.py'
FOLDER = 'configs/insloc/insloc_r50_fpn_1xb32-coslr-200e_folder.py'
DETECTOR = 'configs/insloc/downstream/faster-rcnn_r18-{}_fpn_toy.py'
# The options that need, or exclude, --images.
OF_IMAGES = ('config', 'epochs', 'batch_size')
OF_TOY = ('toy_dir', 'toy_images', 'finetune_options')


def fail(sentence):
    """End with one sentence."""
    print(f'error: {sentence}', file=sys.stderr)
    sys.exit(2)


def parse_args():
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        prog='bash tools/quickstart.sh',
        usage='%(prog)s [options]',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda text: fail(f'{text}; --help lists the options')
    add = parser.add_argument
    add('--seed', type=int, default=0, metavar='N',
        help='of the trainings; the toy set stays the same (default 0)')
    add('--work-dir', metavar='DIR',
        help='a new folder for all results (default work_dirs/quickstart, or '
        'quickstart-2, ... if that is taken)')
    add('--pretrain-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='replace settings of the pretraining config')
    add = parser.add_argument_group('your own images').add_argument
    add('--images', metavar='DIR',
        help='pretrain on the images in this folder and those below it')
    add('--config', metavar='FILE',
        help=f'pretraining config (default {FOLDER}; without a '
        f'GPU {TOY})')
    add('--epochs', type=int, metavar='N', help="in place of the config's")
    add('--batch-size', type=int, metavar='N',
        help="in place of the config's; the learning rate follows")
    add = parser.add_argument_group('the toy set').add_argument
    add('--toy-dir', metavar='DIR',
        help='where it is, or is made (default data/toy)')
    add('--toy-images', nargs=3, type=int,
        metavar=('UNLABELED', 'TRAIN', 'VAL'),
        help='how many images, instead of those of make_toy_dataset.py')
    add('--finetune-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='replace settings of the detector configs')
    add('--check', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    check_args(args)
    return args


def check_args(args):
    """Refuse what is wrong before anything long begins."""
    for name in OF_TOY if args.images else OF_IMAGES:
        if getattr(args, name):
            flag = name.replace('_', '-')
            word = 'without' if args.images else 'with'
            fail(f'--{flag} can only be used {word} --images')
    if args.images and not Path(args.images).expanduser().is_dir():
        fail(f'the folder {args.images!r} of --images does not exist; check '
             'the path')
    for name in ('epochs', 'batch_size'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            fail(f'--{name.replace("_", "-")} is {getattr(args, name)}, '
                 'expected 1 or more')
    if args.work_dir and taken(args.work_dir):
        fail(f'the work dir {args.work_dir!r} is not empty and is left as it '
             'is; choose a new one')
    for name in ('work_dir', 'toy_dir'):
        path = getattr(args, name)
        # --cfg-options, which carry these paths, drop blanks and split.
        if args.images or not path:
            continue
        if re.search(r'[\s,\'"()\[\]]', short(path)):
            fail(f'the path {short(path)!r} has a blank, comma, quote or '
                 'bracket; choose one without')


def taken(folder):
    """Whether there is something of that name, other than an empty folder."""
    folder = Path(folder).expanduser()
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def choose_work_dir(args):
    """A folder that nothing is in yet."""
    if args.work_dir:
        folder = Path(args.work_dir).expanduser().resolve()
    else:
        base = ROOT / 'work_dirs' / 'quickstart'
        names = (base.with_name(f'quickstart-{i}') for i in count(2))
        folder = base if not taken(base) else next(
            name for name in names if not taken(name))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def short(path):
    """A path as the commands have it, which run in the checkout."""
    path = Path(path).expanduser().resolve()
    return str(path.relative_to(ROOT)) if ROOT in path.parents else str(path)


class Quickstart:
    """The stages, what they have in common and what they leave behind."""

    def __init__(self, args, say):
        self.args, self.say = args, say
        self.work_dir = choose_work_dir(args)
        self.stages = []
        self.command = ''
        say(f'Results go to {self.work_dir}; seed {args.seed}, '
            f'{os.cpu_count()} CPU cores, {self.choose_device()}.')

    def choose_device(self):
        """Hide a GPU that mmcv cannot use."""
        import torch
        from mmcv.ops import get_compiling_cuda_version
        self.gpu = torch.cuda.is_available()
        if not self.gpu:
            return 'no GPU'
        if get_compiling_cuda_version() == 'not available':
            self.gpu = False
            os.environ['CUDA_VISIBLE_DEVICES'] = ''
            return ('a GPU that is not used, as the operators of mmcv are '
                    'built for the CPU only')
        return torch.cuda.get_device_name()

    def run(self, name, title, tool, *args):
        """Run a tool; note how and for how long."""
        from mmloc.utils.stages import run_stage
        args = [tool, *map(str, args)]
        self.command = 'python ' + shlex.join(args)
        seconds = run_stage(title, [sys.executable, *args],
                            self.work_dir / f'{name}.log', ROOT)
        self.stages.append(dict(name=name, title=title, seconds=seconds,
                                command=self.command))

    def train(self, name, title, config, *args, options=()):
        """Train; return the checkpoint."""
        folder = self.work_dir / name
        options = ['--cfg-options', *options] if options else []
        self.run(name, title, 'tools/train.py', config, '--work-dir',
                 short(folder), '--seed', self.args.seed, *args, *options)
        return short((folder / 'last_checkpoint').read_text())

    def report(self):
        """Write down what was done and show it."""
        notes = dict(seed=self.args.seed, stages=self.stages)
        (self.work_dir / 'quickstart.json').write_text(
            json.dumps(notes, indent=2))
        sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
        from quickstart_report import show
        os.chdir(ROOT)  # which the paths in the configs start from
        show(self.work_dir)


def run_toy(start):
    """Compare a detector from InsLoc with one from new weights."""
    args = start.args
    toy_dir = short(args.toy_dir or ROOT / 'data' / 'toy')
    sizes = args.toy_images or []
    names = ('--unlabeled', '--train', '--val')
    start.run('toy', 'Toy set',
              'tools/dataset_tools/make_toy_dataset.py', '--out', toy_dir,
              *(word for pair in zip(names, sizes) for word in pair))
    place, places = [], []
    if args.toy_dir:
        place = [f'train_dataloader.dataset.dataset.data_root={toy_dir}']
        places = [f'{split}_dataloader.dataset.data_root={toy_dir}'
                  for split in ('train', 'val', 'test')]
        places += [f'{split}_evaluator.ann_file={toy_dir}/annotations/val.json'
                   for split in ('val', 'test')]
    weights = start.train('pretrain', 'InsLoc pretraining', TOY,
                          options=place + args.pretrain_options)
    for name, kind, title, load in (
            ('from_insloc', 'insloc-pre', 'Detector from InsLoc',
             ['--load-from', weights]),
            ('from_scratch', 'scratch', 'Detector from new weights', [])):
        prefix = short(start.work_dir / name / 'val')
        start.train(name, title, DETECTOR.format(kind), *load, options=[
            f'val_evaluator.outfile_prefix={prefix}', *places,
            *args.finetune_options])


def run_images(start):
    """Pretrain on a folder of images."""
    from mmloc.engine.launch import load_config
    args = start.args
    config = args.config or ROOT / (FOLDER if start.gpu else TOY)
    if not args.config and not start.gpu:
        start.say('Without a GPU the small ResNet-18 of the toy set is '
                  'pretrained, on composites of 128 px: good for trying '
                  'things out. --config names another.')
    cfg = load_config(str(config))
    num, per_epoch = adapt(cfg, args)
    start.say(f'{num} images, {cfg.train_cfg.get("max_epochs", "?")} epochs '
              f'of {per_epoch} batches of {cfg.train_dataloader.batch_size}.')
    # The name says what it is made from; train.py copies it into its folder.
    path = start.work_dir / Path(cfg.filename).name
    cfg.dump(path)
    scale = ['--auto-scale-lr'] if args.batch_size else []
    start.train('pretrain', 'InsLoc pretraining', short(path),
                *scale, options=args.pretrain_options)


def adapt(cfg, args):
    """Put the images and the budget into a config; return their number and
    that of the batches in an epoch."""
    from mmloc.datasets.image_sources import IMG_SUFFIXES, read_folder
    folder = str(Path(args.images).expanduser().resolve())
    try:
        num = len(read_folder(folder))
    except ValueError:
        fail(f'there are no images in {args.images!r} and the folders below '
             f'it; expected files that end in {" ".join(IMG_SUFFIXES)}')
    loader = cfg.get('train_dataloader')
    if not loader or 'dataset' not in loader.dataset:
        fail(f'{cfg.filename} is not a pretraining config, expected one of '
             'those in configs/insloc')
    loader.dataset.dataset.update(
        ann_file='', data_root=folder, data_prefix=dict(img=''),
        on_corrupt='skip')
    if args.batch_size:
        loader.batch_size = args.batch_size
    if num < loader.batch_size:
        fail(f'there are {num} images in {args.images!r}, fewer than the '
             f'{loader.batch_size} of a batch; give more images or a smaller '
             '--batch-size')
    if args.epochs:
        former = cfg.train_cfg.max_epochs
        cfg.train_cfg.max_epochs = args.epochs
        for scheduler in cfg.param_scheduler:
            for key in ('end', 'T_max'):
                if scheduler.get(key) == former:
                    scheduler[key] = args.epochs
    return num, num // loader.batch_size


def end(number, _):
    """End on a signal, and with this program the tool that runs now."""
    print(f'ended by signal {number}', file=sys.stderr)
    sys.exit(128 + number)


def main():
    """Run all stages."""
    args = parse_args()
    if args.check:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    begin = time.monotonic()

    from mmloc.utils.cli import explain
    from mmloc.utils.stages import clock
    start = None
    try:
        start = Quickstart(args, lambda text: print(text, flush=True))
        (run_images if args.images else run_toy)(start)
        start.report()
        start.say(f'Done in {clock(time.monotonic() - begin)}.')
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        if args.images and start and start.command:
            print(f'To go on, run in {ROOT}:\n{start.command} --resume',
                  file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = explain(error)
        if sentence is None or os.environ.get('MMLOC_TRACEBACK') == '1':
            raise
        fail(sentence)


if __name__ == '__main__':
    main()
