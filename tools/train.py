# Copyright (c) mmloc contributors. All rights reserved.
"""Train a model from a config: pretraining and detection alike."""
import argparse
import os
import sys

from mmengine.config import Config, DictAction

try:
    import mmloc  # noqa: F401
except RuntimeError as error:  # a version that it does not work with
    sys.exit(f'error: {error}')

from mmloc.engine import launch
from mmloc.utils.cli import user_errors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::path of a config')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--start', help='what a config of configs/transfer begins from, in '
        'place of its own start: the name of one in configs/_base_/starts, '
        'or a file like those')
    parser.add_argument(
        '--load-from', help='checkpoint that gives the first weights')
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='auto|PATH',
        help='continue from a checkpoint; auto, the default, takes the '
        'newest of the work folder')
    parser.add_argument(
        '--amp', nargs='?', const='float16',
        choices=['float16', 'bfloat16'],
        help='mixed precision; float16, the default, needs a GPU')
    parser.add_argument(
        '--auto-scale-lr', action='store_true',
        help='scale the learning rate with the total batch size')
    parser.add_argument('--seed', type=int, help='seed of every generator')
    parser.add_argument(
        '--deterministic', action='store_true',
        help='make cuDNN choose deterministic algorithms')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='replace settings of the config, lists as key="[a,b]" or '
        'key=a,b')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none', help='how the processes were started')
    # torch.distributed.launch passes either spelling.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    parser.add_argument(
        '--traceback', action='store_true',
        help='show the traceback of mistakes in the input too')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def make_config(args: argparse.Namespace) -> Config:
    """Apply the flags to the config."""
    cfg = launch.load_config(args.config, args.cfg_options, args.start)
    cfg.launcher = args.launcher
    launch.require(cfg, 'train_dataloader', 'train_cfg', 'optim_wrapper')
    launch.set_work_dir(cfg, args.work_dir, args.start)
    launch.set_amp(cfg, args.amp)
    launch.set_randomness(cfg, args.seed, args.deterministic)
    if args.auto_scale_lr:
        launch.set_auto_scale_lr(cfg)
    note = launch.set_start(cfg, args.load_from, args.resume)
    if note and os.environ.get('RANK', '0') == '0':
        print(note)
    return cfg


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with user_errors(args.traceback):
        cfg = make_config(args)
        runner = launch.build_runner(cfg, 'train')
        runner.train()


if __name__ == '__main__':
    main()
