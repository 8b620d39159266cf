# Copyright (c) mmloc contributors. All rights reserved.
"""Draw what a pretraining config trains on: views, boxes and what matches.

Example:
    python tools/analysis_tools/browse_views.py my_pretraining.py views.png
"""
import argparse

from mmengine.config import DictAction

from mmloc.engine.launch import load_config
from mmloc.utils.cli import user_errors
from mmloc.visualization import draw_samples, save_image


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('config', help='a file, or package::path')
    parser.add_argument(
        'out', metavar='FILE.png', help='the picture, .png or .jpg')
    parser.add_argument(
        '--num', type=int, default=6, help='how many samples (default: 6)')
    parser.add_argument(
        '--start', type=int, default=0,
        help='index of the first image (default: 0)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the draws (default: 0)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='replace settings of the config, such as\n'
        'train_dataloader.dataset.data_root=/path/to/images')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Draw it."""
    args = parse_args()
    with user_errors(args.traceback):
        cfg = load_config(args.config, args.cfg_options)
        sheet = draw_samples(cfg, args.num, args.start, args.seed)
        print('Drew', save_image(sheet, args.out))


if __name__ == '__main__':
    main()
