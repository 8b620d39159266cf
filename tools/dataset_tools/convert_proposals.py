# Copyright (c) mmloc contributors. All rights reserved.
"""Convert proposals between mmloc's file and those of other projects.

Forms: mmprop (mmloc's file), soco (a json by file stem), coco (a COCO json,
as for AlignDet), detreg (a folder of .npy files by file stem). SoCo and
DETReg store neither folders nor sizes nor turned images: name their images by
--images, whether they are IN or OUT.

Examples:
    T=tools/dataset_tools/convert_proposals.py
    python $T train_ratio3size0308post.json train.mmprop --images data/train
    python $T train.mmprop proposals.json --to coco
    python $T train.mmprop npy --to detreg --images data/train
"""
import argparse

from mmloc.datasets.proposal_conversion import FORMS, convert_proposals
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='IN', help='what is converted')
    parser.add_argument('out', metavar='OUT', help='what is written')
    parser.add_argument(
        '--from', dest='form', choices=FORMS,
        help='form of IN; by default told by its suffix and first key')
    parser.add_argument(
        '--to', choices=FORMS,
        help='form of OUT; by default told by its suffix')
    parser.add_argument(
        '--images', metavar='SOURCE',
        help='images of a soco or detreg IN or OUT: a folder, a zip, a .txt '
        'list or a COCO .json')
    parser.add_argument(
        '--img-prefix', default='', metavar='FOLDER',
        help='folder that the names of a list start from')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace OUT')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Convert and say what was done."""
    args = parse_args()
    with user_errors(args.traceback):
        num = convert_proposals(args.source, args.out, args.form, args.to,
                                args.images, args.img_prefix, args.overwrite,
                                track)
        print(f'Wrote the proposals of {num} images to {args.out}.')


if __name__ == '__main__':
    main()
