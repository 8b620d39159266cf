# Copyright (c) mmloc contributors. All rights reserved.
"""Pretrain a detector without labels, and see what that is worth.

Without --images: makes the toy set, pretrains InsLoc, SoCo or both on its
images without labels, trains a detector on few labels from each and from new
weights, and prints a table and the path of a report with pictures. With
--images: pretrains on the images of a folder and leaves weights ready for a
detector config.
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
METHODS = {'insloc': 'InsLoc', 'soco': 'SoCo'}
TOY = 'configs/{0}/{0}_r18_fpn_toy.py'
FOLDER = {
    'insloc': 'configs/insloc/insloc_r50_fpn_1xb32-coslr-200e_folder.py',
    'soco': 'configs/soco/soco_r50_fpn_1xb64-coslr-100e_folder.py'
}
DETECTOR = 'configs/{0}/downstream/faster-rcnn_r18-{0}-pre_fpn_toy.py'
SCRATCH = 'configs/insloc/downstream/faster-rcnn_r18-scratch_fpn_toy.py'
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
    add('--method', choices=[*METHODS, 'all'],
        help='what pretrains; all: one after the other, with a detector from '
        'each (default insloc)')
    add('--seed', type=int, default=0, metavar='N',
        help='of the trainings; the toy set stays the same (default 0)')
    add('--work-dir', metavar='DIR',
        help='a new folder for all results (default work_dirs/quickstart, or '
        'quickstart-2, ... if that is taken)')
    add('--pretrain-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='replace settings of the pretraining configs')
    add = parser.add_argument_group('your own images').add_argument
    add('--images', metavar='DIR',
        help='pretrain on the images in this folder and those below it')
    add('--config', metavar='FILE',
        help='pretraining config, in place of --method (default '
        f'{FOLDER["insloc"]}, for SoCo {FOLDER["soco"]}; without a GPU the '
        'one of the toy set)')
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
    if args.images and args.method == 'all':
        fail('--method all can only be used without --images')
    if args.config and args.method:
        fail('--method can only be used without --config, which names one')
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
        self.stages, self.methods = [], {}
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

    def pretrain(self, title, config, *args, options=()):
        """Pretrain by the method of that title; return the checkpoint."""
        self.methods[title.lower()] = title
        return self.train(f'pretrain_{title.lower()}', f'{title} pretraining',
                          config, *args, options=options)

    def report(self):
        """Write down what was done and show it."""
        notes = dict(seed=self.args.seed, methods=self.methods,
                     stages=self.stages)
        (self.work_dir / 'quickstart.json').write_text(
            json.dumps(notes, indent=2))
        sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
        from quickstart_report import show
        os.chdir(ROOT)  # which the paths in the configs start from
        show(self.work_dir)


def run_toy(start):
    """Compare a detector from each method with one from new weights."""
    args = start.args
    toy_dir = short(args.toy_dir or ROOT / 'data' / 'toy')
    sizes = args.toy_images or []
    names = ('--unlabeled', '--train', '--val')
    start.run('toy', 'Toy set',
              'tools/dataset_tools/make_toy_dataset.py', '--out', toy_dir,
              *(word for pair in zip(names, sizes) for word in pair))
    places = []
    if args.toy_dir:
        places = [f'{split}_dataloader.dataset.data_root={toy_dir}'
                  for split in ('train', 'val', 'test')]
        places += [f'{split}_evaluator.ann_file={toy_dir}/annotations/val.json'
                   for split in ('val', 'test')]

    def train_detector(name, title, config, *load):
        prefix = short(start.work_dir / name / 'val')
        start.train(name, title, config, *load, options=[
            f'val_evaluator.outfile_prefix={prefix}', *places,
            *args.finetune_options])

    methods = METHODS if args.method == 'all' else [args.method or 'insloc']
    for method in methods:
        weights = pretrain_toy(start, method, toy_dir)
        train_detector(f'from_{method}', f'Detector from {METHODS[method]}',
                       DETECTOR.format(method), '--load-from', weights)
    train_detector('from_scratch', 'Detector from new weights', SCRATCH)


def pretrain_toy(start, method, toy_dir):
    """Pretrain by a method on the toy set; return the checkpoint."""
    dataset = 'train_dataloader.dataset'
    place = [f'{dataset}.dataset.data_root={toy_dir}']
    if method == 'soco':
        proposals = f'{toy_dir}/unlabeled.mmprop'
        start.run(f'proposals_{method}', 'Object proposals',
                  'tools/dataset_tools/generate_proposals.py',
                  f'{toy_dir}/unlabeled', proposals)
        place = [f'{dataset}.data_root={toy_dir}',
                 f'{dataset}.pipeline.1.proposal_file={proposals}']
    options = place if start.args.toy_dir else []
    return start.pretrain(METHODS[method], TOY.format(method),
                          options=options + start.args.pretrain_options)


def run_images(start):
    """Pretrain on a folder of images."""
    from mmloc.engine.launch import load_config
    from mmloc.engine.own_images import set_epochs, use_images
    args = start.args
    method = args.method or 'insloc'
    config = args.config or ROOT / (
        FOLDER[method] if start.gpu else TOY.format(method))
    if not args.config and not start.gpu:
        start.say('Without a GPU the small ResNet-18 of the toy set is '
                  'pretrained, on images of 128 px: good for trying things '
                  'out. --config names another.')
    cfg = load_config(str(config))
    num, per_epoch = use_images(cfg, args.images, args.batch_size)
    if args.epochs:
        set_epochs(cfg, args.epochs)
    start.say(f'{num} images, {cfg.train_cfg.get("max_epochs", "?")} epochs '
              f'of {per_epoch} batches of {cfg.train_dataloader.batch_size}.')
    # The name says what it is made from; train.py copies it into its folder.
    path = start.work_dir / Path(cfg.filename).name
    cfg.dump(path)
    scale = ['--auto-scale-lr'] if args.batch_size else []
    start.pretrain(cfg.model.type.rpartition('.')[2], short(path), *scale,
                   options=args.pretrain_options)


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
