# Copyright (c) mmloc contributors. All rights reserved.
"""Evaluate a checkpoint with a config's test data and metrics."""
import argparse
import os
import sys

from mmengine.config import Config, DictAction

try:
    import mmloc  # noqa: F401
except RuntimeError as error:  # a version that it does not work with
    sys.exit(f'error: {error}')

from mmdet.evaluation import DumpDetResults

from mmloc.engine import launch
from mmloc.utils.cli import user_errors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::path of a config')
    parser.add_argument(
        'checkpoint', nargs='?',
        help='the weights to evaluate; a probe, which is never trained, has '
        'them from its start')
    parser.add_argument(
        '--start', help='the --start that the checkpoint was trained with, '
        'or that a probe is about')
    parser.add_argument('--work-dir', help='folder of logs and metrics')
    parser.add_argument('--out', help='write the predictions to this .pkl')
    parser.add_argument(
        '--show-dir', help='write images with their detections there, '
        'inside the folder of the logs')
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
    # So that the checkpoint may also come after flags.
    args = parser.parse_intermixed_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out must end in .pkl or .pickle, got {args.out!r}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def make_config(args: argparse.Namespace) -> Config:
    """Apply the flags to the config."""
    cfg = launch.load_config(args.config, args.cfg_options, args.start)
    cfg.launcher = args.launcher
    launch.require(cfg, 'test_dataloader', 'test_cfg', 'test_evaluator')
    launch.set_work_dir(cfg, args.work_dir, args.start)
    if not args.checkpoint:  # '' where a launcher needs a word
        launch.require_probe(cfg)
    launch.set_start(cfg, args.checkpoint or None)
    cfg.resume = False
    if args.show_dir:
        launch.set_show_dir(cfg, args.show_dir)
    return cfg


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with user_errors(args.traceback):
        cfg = make_config(args)
        runner = launch.build_runner(cfg, 'test')
        if args.out:
            runner.test_evaluator.metrics.append(
                DumpDetResults(out_file_path=args.out))
        runner.test()


if __name__ == '__main__':
    main()
