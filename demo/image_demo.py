# Copyright (c) mmloc contributors. All rights reserved.
"""Draw what a detector finds in images.

Example:
    python demo/image_demo.py data/toy/val/000000.jpg \\
        configs/insloc/downstream/faster-rcnn_r18-insloc-pre_fpn_toy.py \\
        work_dirs/faster-rcnn_r18-insloc-pre_fpn_toy/epoch_14.pth
"""
import argparse
from pathlib import Path

from mmengine.config import DictAction

from mmloc.apis import build_inferencer, draw_detected
from mmloc.apis.features import read_image
from mmloc.datasets.image_sources import read_images
from mmloc.utils.cli import user_errors
from mmloc.utils.progress import track
from mmloc.visualization import save_image


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('images', help='an image, or a folder of images')
    parser.add_argument('config', help="a detector's: path or package::path")
    parser.add_argument('checkpoint', help='path or address of its weights')
    parser.add_argument(
        '--start', help='the --start that the detector was trained with')
    parser.add_argument(
        '--out-dir', default='outputs',
        help='folder of the pictures, NAME.png each (default: outputs)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3,
        help='leave out detections below it (default: 0.3)')
    parser.add_argument(
        '--device', help='such as cpu or cuda:0; a GPU if there is one')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='replace settings of the config')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Detect and draw."""
    args = parse_args()
    with user_errors(args.traceback):
        folder = Path(args.images)
        paths = ([info['img_path'] for info in read_images('', args.images)]
                 if folder.is_dir() else [args.images])
        inferencer = build_inferencer(args.config, args.checkpoint, args.start,
                                      args.cfg_options, args.device)
        for path in track(paths, len(paths), 'images'):
            picture, found = draw_detected(
                inferencer, read_image(path), args.score_thr)
            scores = found.pred_instances.scores
            out = save_image(
                picture, Path(args.out_dir) / f'{Path(path).stem}.png')
            print(f'{path}: {(scores >= args.score_thr).sum()} of '
                  f'{len(scores)} detections drawn in {out}')


if __name__ == '__main__':
    main()
