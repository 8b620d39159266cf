# Copyright (c) mmloc contributors. All rights reserved.
"""Write the toy set: textured shapes with boxes and masks, no download.

Example:
    python tools/dataset_tools/make_toy_dataset.py --out data/toy
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np

from mmloc.datasets.toy import ToyParams, make_toy_dataset
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track
from mmloc.visualization import draw_coco, save_image


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out', default='data/toy', help='folder of the set')
    default = ToyParams()
    parser.add_argument(
        '--size', type=int, default=default.size, help='side in pixels')
    for split in ('unlabeled', 'train', 'val'):
        parser.add_argument(
            f'--{split}',
            type=int,
            default=getattr(default, split),
            help=f'number of {split} images')
    parser.add_argument('--seed', type=int, default=default.seed)
    parser.add_argument(
        '--workers', type=int, help='processes; all cores if not given')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace another toy set in that folder')
    parser.add_argument(
        '--preview',
        metavar='FILE.png',
        help='also draw some labelled images with their boxes')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Write the set and say what was done."""
    args = parse_args()
    with user_errors(args.traceback):
        start = time.monotonic()
        params = ToyParams(args.size, args.unlabeled, args.train, args.val,
                           args.seed)
        if make_toy_dataset(args.out, params, args.workers, args.overwrite,
                            track):
            print(f'Wrote the toy set to {args.out} in '
                  f'{time.monotonic() - start:.1f} s.')
        else:
            print(f'The same toy set is already in {args.out}.')
        if args.preview:
            print('Drew',
                  save_image(draw_preview(args.out), args.preview))


def draw_preview(folder: str) -> np.ndarray:
    """Draw the first labelled images of a set with their boxes.

    Args:
        folder (str): Folder of the set.

    Returns:
        np.ndarray: A sheet, (H, W, 3), uint8, BGR.
    """
    for split in ('train', 'val'):
        ann_file = Path(folder) / 'annotations' / f'{split}.json'
        if json.loads(ann_file.read_text())['images']:
            break
    return draw_coco(str(ann_file), str(Path(folder) / split), 24)


if __name__ == '__main__':
    main()
