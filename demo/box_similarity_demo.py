# Copyright (c) mmloc contributors. All rights reserved.
"""Draw where in an image a network finds the like of a box of another.

Example:
    python demo/box_similarity_demo.py data/toy/val/000000.jpg \\
        data/toy/val/000001.jpg configs/insloc/insloc_r18_fpn_toy.py \\
        work_dirs/insloc_r18_fpn_toy/epoch_3.pth --box 20 30 70 80
"""
import argparse

import numpy as np
from mmengine.config import DictAction
from mmengine.device import get_device

from mmloc.apis import box_similarity, init_network
from mmloc.apis.features import read_image
from mmloc.utils.cli import user_errors
from mmloc.visualization import draw_similarity, save_image


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('image', help='the image with the box')
    parser.add_argument('other', help='the image that is searched')
    parser.add_argument(
        'config', help='of a pretraining, a detector or a probe: path or\n'
        'package::path')
    parser.add_argument(
        'checkpoint', nargs='?', help='path or address of the weights')
    parser.add_argument('--start', help='lay this start over a protocol')
    parser.add_argument(
        '--box', nargs=4, type=float, required=True,
        metavar=('X1', 'Y1', 'X2', 'Y2'), help='in pixels of the image')
    parser.add_argument(
        '--sources', nargs='+', default=['c4', 'c5'],
        help='where features are read: c2 to c5 (backbone), p2 to p7 (neck),\n'
        'head (of a detector or pretraining), embedding (of a pretraining),\n'
        'pixels; a panel for each (default: c4 c5)')
    parser.add_argument(
        '--side', type=int,
        help='scale the longer side of both images to so many pixels first')
    parser.add_argument(
        '--out', default='outputs/similarity.png',
        help='the picture (default: outputs/similarity.png)')
    parser.add_argument(
        '--device', help='such as cpu or cuda:0; a GPU if there is one')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='replace settings of the config')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Compare and draw."""
    args = parse_args()
    with user_errors(args.traceback):
        model = init_network(args.config, args.checkpoint, args.start,
                             args.cfg_options, args.device or get_device())
        image, other = read_image(args.image), read_image(args.other)
        found = {
            source: box_similarity(model, image, args.box, other, source,
                                   args.side)
            for source in args.sources
        }
        for source, similarity in found.items():
            box = ', '.join(f'{n:.0f}' for n in similarity.box)
            print(f'{source}: best at [{box}], cosine {similarity.score:.2f}; '
                  f'median {float(np.median(similarity.values)):.2f}')
        print('Drew', save_image(
            draw_similarity(image, args.box, other, found), args.out))


if __name__ == '__main__':
    main()
