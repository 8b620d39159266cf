# Copyright (c) mmloc contributors. All rights reserved.
"""Compute object proposals of all images of a set, by selective search.

Stopped in any way and started again, it goes on. OUT.report.json lists the
images that could not be read and those without a proposal.

Examples:
    python tools/dataset_tools/generate_proposals.py data/imagenet/train \
        data/imagenet/train.mmprop
    python tools/dataset_tools/generate_proposals.py data/photos.zip \
        data/photos.mmprop --max-side 1000
    python tools/dataset_tools/generate_proposals.py \
        data/coco/annotations/instances_train2017.json data/coco.mmprop \
        --root data/coco/train2017 --shard 1/8
    python tools/dataset_tools/generate_proposals.py data/coco.mmprop --merge
"""
import argparse
import inspect
import json
import sys

from mmloc.datasets.proposal_generation import generate_proposals
from mmloc.datasets.proposal_job import Shard
from mmloc.datasets.proposal_output import merge_shards
from mmloc.datasets.transforms import GenerateProposals
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        'source', nargs='?',
        help='folder, zip, .txt list or COCO .json of images')
    parser.add_argument('out', help='the file, by custom NAME.mmprop')
    parser.add_argument(
        '--root', help='folder or zip that the names of a list start from '
        '(default: its own folder)')
    parser.add_argument(
        '--workers', type=int, help='processes (default: one for each core)')
    default = inspect.signature(GenerateProposals).parameters
    for name, convert, text in (
        ('scale', float, 'the larger, the larger the first regions'),
        ('sigma', float, 'smoothing before the segmentation in pixels'),
        ('min_size', int, 'smallest first region in pixels'),
        ('max_side', int, 'reduce larger images to this longer side first, '
         'which changes the boxes'),
        ('rule', read_rule, 'which boxes are kept: a name such as '
         'ratio3size0308, or the numbers as JSON')):
        value = default[name].default
        parser.add_argument(
            f'--{name.replace("_", "-")}', type=convert, default=value,
            help=f'{text} (default: {value})')
    parser.add_argument(
        '--shard', default='1/1', metavar='i/n',
        help='work on the i-th of n parts and write OUT.shardIofN')
    parser.add_argument(
        '--merge', action='store_true',
        help='join all OUT.shardIofN to OUT, in place of computing')
    parser.add_argument(
        '--restart', action='store_true',
        help='drop what a stopped run has done; without it (or with\n'
        '--resume) the run is gone on with')
    parser.add_argument(
        '--resume', action='store_false', dest='restart',
        help=argparse.SUPPRESS)
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing OUT')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    args = parser.parse_args()
    if args.merge != (args.source is None):
        parser.error('give SOURCE and OUT, or OUT and --merge')
    return args


def main() -> None:
    """Compute or merge, and say what came of it."""
    args = parse_args()
    with user_errors(args.traceback):
        if args.merge:
            report, is_new = merge_shards(args.out, args.overwrite), True
            target = args.out
        else:
            shard = Shard.parse(args.shard)
            target = shard.path(args.out)
            search = GenerateProposals(
                None, args.scale, args.sigma, args.min_size, args.max_side,
                args.rule, on_empty='keep')
            try:
                report, is_new = generate_proposals(
                    args.source, args.out, search, args.root,
                    shard, args.workers, args.restart, args.overwrite, track)
            except KeyboardInterrupt:
                print('The same command goes on from here.', file=sys.stderr)
                raise
        print(describe(target, report, is_new))


def read_rule(text: str) -> str | dict | list:
    """Read an option that says which boxes are kept.

    Args:
        text (str): A name, or JSON.

    Returns:
        str | dict | list: See :func:`mmloc.proposals.parse_rule`.

    Raises:
        argparse.ArgumentTypeError: The text begins as JSON and is none.
    """
    if text.lstrip()[:1] not in ('{', '['):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no JSON ({error}), expected a name or such as '
            '{"min_side": 16, "max_ratio": 3}') from error


def describe(target: str, report: dict, is_new: bool) -> str:
    """Say what a file holds.

    Args:
        target (str): The file.
        report (dict): Its report.
        is_new (bool): Whether it was written just now.

    Returns:
        str: A few lines.
    """
    images, boxes = report['written'], report['boxes']
    lines = [
        f'Wrote {target}.' if is_new else f'{target} is there already.',
        f'  images: {images}, with {boxes} boxes '
        f'({boxes / max(images, 1):.1f} an image)'
    ]
    for num, text in (
        (len(report['skipped']), 'images left out, for they are unreadable'),
        (len(report['without_proposals']), 'images without any box'),
        (report['num_repeated'], 'entries left out, for they name an image '
         'once more')):
        if num:
            lines.append(f'  {text}: {num}')
    return '\n'.join([*lines, f'  details: {target}.report.json'])


if __name__ == '__main__':
    main()
