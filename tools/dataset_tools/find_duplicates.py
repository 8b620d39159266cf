# Copyright (c) mmloc contributors. All rights reserved.
"""Find near-duplicate images between a pretraining source and a split.

Copies are found also if they were compressed again, resized, cut a little,
mirrored, made darker, brighter or grey. OUT gets pairs.json, a picture of
pairs to judge by eye, and a list of the source without them.
Exit status: 0 if there are none, 1 if there are some, 2 on a mistake.

Examples:
    python tools/dataset_tools/find_duplicates.py data/imagenet/train \\
        data/coco/annotations/instances_val2017.json \\
        --split-root data/coco/val2017
    python tools/dataset_tools/find_duplicates.py data/photos.zip \\
        data/VOCdevkit/VOC2007/ImageSets/Main/test.txt
    python tools/dataset_tools/find_duplicates.py data/photos
"""
import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmloc.datasets.image_table import image_path
from mmloc.datasets.near_duplicates import (
    MIN_SIMILARITY,
    NearDuplicates,
    Pair,
    find_near_duplicates,
)
from mmloc.datasets.proposal_job import ImageNames
from mmloc.datasets.transforms import LoadImage
from mmloc.datasets.voc import read_split
from mmloc.utils.cli import user_errors
from mmloc.utils.files import atomic_write, refuse_existing
from mmloc.utils.progress import track
from mmloc.visualization import draw_pairs, save_image

#: Pairs in the table and on the picture.
NUM_LISTED, NUM_DRAWN = 10, 24
FILES = ('pairs.json', 'pairs.png', 'clean.txt')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        'source', help='the many images: folder, archive, .txt list or COCO '
        '.json')
    parser.add_argument(
        'split', nargs='?', help='the few images: any of these, a folder of '
        'VOC or a list in its ImageSets;\nwithout it, the images of the '
        'source are compared with each other')
    for name in ('root', 'split-root'):
        parser.add_argument(
            f'--{name}', help='folder or archive that the names of a list '
            'start from (default: its own folder)')
    parser.add_argument(
        '--out', default='work_dirs/duplicates', help='folder of the results '
        '(default: %(default)s)')
    parser.add_argument(
        '--min-similarity', type=float, default=MIN_SIMILARITY,
        help='of pairs after alignment, up to 1 (default: %(default)s)')
    parser.add_argument(
        '--cache', default='data/fingerprint_cache', help='folder in which '
        'the fingerprints of sources are kept (default: %(default)s)')
    parser.add_argument(
        '--restart', action='store_true',
        help='compute those of this source anew, for images have changed')
    parser.add_argument(
        '--workers', type=int, help='processes (default: one for each core)')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace results in OUT')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Compare, write and show what was found."""
    args = parse_args()
    with user_errors(args.traceback):
        out = Path(args.out)
        for name in FILES:
            refuse_existing(str(out / name), args.overwrite)
        source = read_split(args.source, args.root)
        split = args.split and read_split(args.split, args.split_root)
        found = find_near_duplicates(
            source, split, args.cache, args.restart, args.min_similarity,
            args.workers, track)
        split = split or source
        write_results(out, args, source, split, found)
        if found.pairs:
            save_image(draw(found.pairs, source, split),
                       str(out / 'pairs.png'))
        show(Console(), args, len(source.names), len(split.names), found)
    sys.exit(1 if found.pairs else 0)


def write_results(out: Path, args: argparse.Namespace, source: ImageNames,
                  split: ImageNames, found: NearDuplicates) -> None:
    """Write the pairs, and the list of the images without them.

    Args:
        out (Path): The folder.
        args (argparse.Namespace): The options.
        source (ImageNames): The many images.
        split (ImageNames): The few images, or those of the source again.
        found (NearDuplicates): The pairs.
    """
    result = dict(
        source=args.source, split=args.split, num_source=len(source.names),
        num_split=len(split.names), min_similarity=args.min_similarity,
        pairs=[dict(image=pair.image, source=pair.source,
                    distance=round(pair.distance, 3), mirrored=pair.mirrored)
               for pair in found.pairs],
        unreadable=found.unreadable)
    with atomic_write(str(out / 'pairs.json'), args.overwrite, 'w') as file:
        json.dump(result, file, indent=1)
    left_out = {pair.source for pair in found.pairs}
    left_out |= {
        name for name in source.names
        if image_path(name, source.prefix) in found.unreadable
    }
    with atomic_write(str(out / 'clean.txt'), args.overwrite, 'w') as file:
        file.writelines(
            f'{name}\n' for name in source.names if name not in left_out)


def draw(pairs: list[Pair], source: ImageNames, split: ImageNames):
    """Draw the surest and, if there are many, the least sure pairs.

    Args:
        pairs (list[Pair]): The most similar first.
        source (ImageNames): The many images.
        split (ImageNames): The few images.

    Returns:
        np.ndarray: The sheet.
    """
    numbered = list(enumerate(pairs, 1))
    if len(pairs) > NUM_DRAWN:
        numbered = numbered[:NUM_DRAWN // 2] + numbered[-NUM_DRAWN // 2:]
    load = LoadImage()
    return draw_pairs(
        (*(load(dict(img_path=image_path(name, images.prefix)))['img']
           for name, images in ((pair.image, split), (pair.source, source))),
         f'{number}: distance {pair.distance:.3f}' +
         ', mirrored' * pair.mirrored + f'  {pair.source}')
        for number, pair in numbered)


def show(console: Console, args: argparse.Namespace, num_source: int,
         num_split: int, found: NearDuplicates) -> None:
    """Say what was found.

    Args:
        console (Console): Where.
        args (argparse.Namespace): The options.
        num_source (int): Number of images of the source.
        num_split (int): Number of images of the split.
        found (NearDuplicates): The pairs.
    """
    pairs = found.pairs
    if pairs:
        table = Table('image', 'near-duplicate in the source', 'distance')
        for pair in pairs[:NUM_LISTED]:
            table.add_row(pair.image, pair.source, f'{pair.distance:.3f}' +
                          ' (mirrored)' * pair.mirrored)
        console.print(table)
    images = {pair.image for pair in pairs}
    others = {pair.source for pair in pairs}
    console.print(
        f'{len(pairs)} pairs: {len(images)} of {num_split} images have near-'
        f'duplicates among {num_source} images of the source, {len(others)} '
        'different ones.' if args.split else
        f'{len(pairs)} pairs among {num_source} images.',
        soft_wrap=True, highlight=False)
    if found.unreadable:
        console.print(f'{len(found.unreadable)} images could not be read; '
                      'pairs.json names them.')
    console.print(
        f'pairs: {args.out}/pairs.json' +
        f', picture: {args.out}/pairs.png' * bool(pairs) +
        f', source without them: {args.out}/clean.txt',
        soft_wrap=True, highlight=False)


if __name__ == '__main__':
    main()
