# Copyright (c) mmloc contributors. All rights reserved.
"""Write the toy set: textured shapes with boxes and masks, no download.

Example:
    python tools/dataset_tools/make_toy_dataset.py --out data/toy
"""
import argparse
import json
import time
from pathlib import Path

import cv2

from mmloc.datasets.toy import ToyParams, make_toy_dataset
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track
from mmloc.visualization import draw_coco


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
            write_preview(args.out, args.preview)


def write_preview(folder: str, path: str) -> None:
    """Draw the first labelled images of a set with their boxes.

    Args:
        folder (str): Folder of the set.
        path (str): The picture to write.

    Raises:
        ValueError: No labelled split has images, or the picture cannot be
            written.
    """
    for split in ('train', 'val'):
        ann_file = Path(folder) / 'annotations' / f'{split}.json'
        if json.loads(ann_file.read_text())['images']:
            break
    sheet = draw_coco(str(ann_file), str(Path(folder) / split), 24)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(path, sheet)
    except cv2.error:
        written = False
    if not written:
        raise ValueError(f'Cannot write the preview {path!r}, expected a '
                         'name that ends in .png or .jpg.')
    print(f'Drew {path}.')


if __name__ == '__main__':
    main()
