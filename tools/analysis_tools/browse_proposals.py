# Copyright (c) mmloc contributors. All rights reserved.
"""Look at proposals: images with their boxes, and statistics, as a page.

Example:
    python tools/analysis_tools/browse_proposals.py train.mmprop \
        --root data/imagenet/train --out work_dirs/train_proposals
"""
import argparse
import os.path as osp
from pathlib import Path

import numpy as np

from mmloc.proposals import ProposalFile
from mmloc.utils.cli import user_errors
from mmloc.utils.files import refuse_existing
from mmloc.utils.progress import track
from mmloc.visualization import Report, save_image
from mmloc.visualization.proposal_statistics import ProposalStatistics
from mmloc.visualization.proposals import THRESHOLDS, VIEW, draw_proposal_file

SHEET = ('{} images, drawn at random, with the number of their boxes. The '
         'colour of a box is the pyramid level that SoCo takes it from when '
         'the whole image is resized to {} x {} pixels: by the square root '
         'of its area there.')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('proposals', help='a file of proposals, *.mmprop')
    parser.add_argument(
        '--root', required=True,
        help='folder or zip that the names in the file start from')
    parser.add_argument(
        '--num', type=int, default=24, help='images to show (default: 24)')
    parser.add_argument(
        '--seed', type=int, default=0,
        help='of the choice of images (default: 0)')
    parser.add_argument(
        '--out', metavar='FOLDER',
        help='where index.html, sheet.png and statistics.png are written\n'
        '(default: PROPOSALS.browse)')
    parser.add_argument(
        '--thresholds', type=float, nargs='+', default=THRESHOLDS,
        metavar='PIXELS', help='largest sqrt(w h) of each level, finest '
        f'first\n(default: {" ".join(map(str, THRESHOLDS))})')
    parser.add_argument(
        '--view', type=int, default=VIEW,
        help=f'side of the view in pixels (default: {VIEW})')
    parser.add_argument(
        '--max-images', type=int, default=100_000,
        help='images, spread evenly, that the statistics look at\n'
        '(default: 100000)')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace existing files')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Draw, measure and write the page."""
    args = parse_args()
    with user_errors(args.traceback):
        folder = Path(args.out or f'{args.proposals}.browse')
        names = ('index.html', 'sheet.png', 'statistics.png')
        for name in names:
            refuse_existing(str(folder / name), args.overwrite)
        file = ProposalFile(args.proposals)
        levels = tuple(args.thresholds), args.view
        sheet = draw_proposal_file(file, args.root, args.num, args.seed,
                                   *levels)
        found = ProposalStatistics.measure(file, args.max_images, track)
        plots = found.draw(*levels)
        save_image(sheet, folder / names[1])
        save_image(plots, folder / names[2])
        page = write_page(folder / names[0], file, found, sheet, plots, args)
        print(f'Wrote {page}, {names[1]} and {names[2]}')


def write_page(path: Path, file: ProposalFile, found: ProposalStatistics,
               sheet: np.ndarray, plots: np.ndarray,
               args: argparse.Namespace) -> str:
    """Write the page.

    Args:
        path (Path): Where.
        file (ProposalFile): The file that is looked at.
        found (ProposalStatistics): What was measured.
        sheet (np.ndarray): The images, (H, W, 3), uint8, BGR.
        plots (np.ndarray): The plots, (H, W, 3), uint8, BGR.
        args (argparse.Namespace): The options.

    Returns:
        str: The absolute path.
    """
    num = len(found.counts)
    quarters = np.percentile(found.counts, [0, 25, 50, 75, 100])
    report = Report(f'Proposals in {osp.basename(file.path)}')
    report.section('The file').table(('what', 'value'), [
        ('images', str(len(file))),
        ('boxes', str(file.num_boxes)),
        ('boxes an image, mean', f'{file.num_boxes / len(file):.1f}'),
        ('boxes an image: least, quarter, half, three quarters, most',
         ', '.join(f'{value:g}' for value in quarters)),
        ('images without a box', f'{(found.counts == 0).mean():.2%}'),
        *((key, str(value)) for key, value in sorted(file.params.items()))
    ])
    caption = (f'Of all {num} images.' if num == len(file) else
               f'Of {num} images, spread evenly over the file.')
    report.section('Statistics').figure(plots, caption)
    shown = min(args.num, len(file))
    report.section('Images').figure(
        sheet, SHEET.format(shown, args.view, args.view), photo=True)
    return report.write(path)


if __name__ == '__main__':
    main()
