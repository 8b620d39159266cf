# Copyright (c) mmloc contributors. All rights reserved.
"""Check your own images and boxes, and write two configs for them.

From images without labels and a data set with boxes (a COCO .json, or a
folder in the form of Pascal VOC) it makes, in OUT:
  own_data_report.txt       what was found, the gravest first; made anew
                            by each run
  train.json, val.json      the boxes, as COCO
  labels.png                some of them drawn, to be looked at
  unlabeled.txt             the images to pretrain on
  pretrain.py, detector.py  the configs
Your own files are only read. Exit status: 0 if the configs were written, 1
if what was found forbids it, 2 on a mistake.

Examples:
    python tools/dataset_tools/prepare_own_data.py photos kangaroo \\
        --out work_dirs/kangaroo --yes
    python tools/dataset_tools/prepare_own_data.py photos.zip train.json \\
        --val val.json --images images --out work_dirs/mine --method soco
"""
import argparse
import sys
from pathlib import Path

from rich.console import Console

from mmloc.datasets.own_data import (
    Choices,
    Findings,
    LabeledSet,
    advise,
    check_coverage,
    check_set,
    find_copies,
    pretraining_images,
    read_sets,
    same_classes,
    split_set,
    write_coco,
    write_configs,
)
from mmloc.datasets.proposal_job import ImageNames
from mmloc.utils.cli import user_errors
from mmloc.utils.files import atomic_write, refuse_existing
from mmloc.utils.progress import track
from mmloc.visualization import draw_coco, save_image

FILES = ('train.json', 'val.json', 'labels.png',
         'unlabeled.txt', 'pretrain.py', 'detector.py')
REPORT = 'own_data_report.txt'
#: Share of the images that --yes puts aside for evaluation.
VAL_SHARE = 0.2
WIDTH = 110


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add('unlabeled', help='images without labels: folder, archive, .txt list '
        'or COCO .json')
    add('labeled', help='COCO .json, or folder of VOC')
    add('--out', required=True, help='folder of the results')
    add('--val', help='another set for evaluation, as LABELED; otherwise the '
        'lists in ImageSets of VOC are used')
    add('--val-share', type=read_share, metavar='SHARE',
        help='or make it of this share of the images, by their names')
    add('--images', help='folder of the labelled images, if not found')
    add('--classes', nargs='+', metavar='NAME',
        help='the classes, in order (default: all with boxes)')
    add('--rename', nargs='+', default=[], type=read_rename,
        metavar='OLD=NEW',
        help='correct names of classes')
    add('--method', choices=['insloc', 'soco'], default='insloc',
        help='of pretraining (default: %(default)s)')
    add('--neck', choices=['fpn', 'c4'], default='fpn',
        help='of both networks (default: %(default)s)')
    add('--detector', choices=['faster-rcnn', 'mask-rcnn'],
        default='faster-rcnn', help='(default: %(default)s)')
    add('--weights', metavar='CHECKPOINT',
        help='let the backbone begin its pretraining from them, such as\n'
        'torchvision://resnet50 (default: new weights)')
    add('--skip-broken', action='store_true',
        help='leave broken images and boxes out')
    add('--yes', action='store_true', help='the same as --skip-broken '
        f'--val-share {VAL_SHARE}, where they are needed')
    add('--check', action='store_true', help='write no more than the report')
    add('--workers', type=int, help='processes (default: one for each core)')
    add('--overwrite', action='store_true', help='replace files in OUT')
    add('--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Check, report and write."""
    args = parse_args()
    with user_errors(args.traceback):
        out = Path(args.out).expanduser().resolve()
        for name in FILES:
            refuse_existing(str(out / name), args.overwrite)
        findings = Findings()
        unlabeled = read_unlabeled(args.unlabeled)
        sets, names = examine(args, unlabeled, findings)
        advice = advise(args.method, len(names), len(sets[0].images),
                        sets[0].short_side(), findings)
        stop = findings.count('wrong') or (
            findings.count('broken') and not (args.skip_broken or args.yes))
        report(out, args, findings, stop)
        if not stop and not args.check:
            write(out, args, unlabeled, names, sets, advice)
    sys.exit(1 if stop else 0)


def read_unlabeled(source: str) -> ImageNames:
    """Read the source of images without labels.

    Args:
        source (str): What :meth:`ImageNames.read` takes.

    Returns:
        ImageNames: The images, their prefix absolute.
    """
    path = Path(source).expanduser()
    return ImageNames.read(str(path.resolve()) if path.exists() else source)


def examine(args: argparse.Namespace, unlabeled: ImageNames,
            findings: Findings) -> tuple[list[LabeledSet], list[str]]:
    """Do all checks.

    Args:
        args (argparse.Namespace): The options.
        unlabeled (ImageNames): The images without labels.
        findings (Findings): Gets what is found.

    Returns:
        tuple[list[LabeledSet], list[str]]: The sets for training and for
        evaluation, the whole set twice if there is none, and the names of the
        images to pretrain on.
    """
    sets = read_sets(args.labeled, args.val, findings, args.images,
                     dict(args.rename))
    for part in sets:
        check_set(part, findings, args.workers, track)
    if args.detector == 'mask-rcnn':
        check_masks(sets, findings)
    same_classes(sets, findings, args.classes)
    options = dict(workers=args.workers, track=track)
    pairs = find_copies(sets, findings, **options)
    share = args.val_share or (VAL_SHARE if args.yes else None)
    if len(sets) == 1 and share is None:
        findings.add(
            'wrong', 'there is no set for evaluation',
            f'give one by --val, or put a share of the images aside by '
            f'--val-share {VAL_SHARE} (or --yes)')
        sets *= 2
    elif len(sets) == 1:
        sets = split_set(sets[0], share, pairs)
        findings.add(
            'note', f'split: {len(sets[0].images)} images to train on, '
            f'{len(sets[1].images)} to evaluate with',
            'the SHA-256 of its name decides for each image, so the split '
            'is the same everywhere')
    check_coverage(*sets, findings)
    return sets, pretraining_images(unlabeled, sets[1], findings, **options)


def read_rename(text: str) -> tuple[str, str]:
    """Read one of --rename.

    Args:
        text (str): Such as 'Cat=cat'.

    Returns:
        tuple[str, str]: The old name and the new one.

    Raises:
        argparse.ArgumentTypeError: The text is of another form.
    """
    old, sign, new = text.partition('=')
    if not (old and sign and new):
        raise argparse.ArgumentTypeError(f'{text!r} is not OLD=NEW')
    return old, new


def read_share(text: str) -> float:
    """Read --val-share.

    Args:
        text (str): Such as '0.2'.

    Returns:
        float: The share.

    Raises:
        argparse.ArgumentTypeError: It is no number between 0 and 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number between 0 and 1')
    return share


def check_masks(sets: list[LabeledSet], findings: Findings) -> None:
    """Find boxes without a mask.

    Args:
        sets (list[LabeledSet]): The sets.
        findings (Findings): Gets what is found.
    """
    for part in sets:
        findings.add(
            'wrong', f'{part.name}: boxes without a mask (segmentation)',
            'Mask R-CNN needs one for each; take --detector faster-rcnn',
            [part.file_names[ann['image_id']] for ann in part.annotations
             if not ann.get('segmentation')])


def report(out: Path, args: argparse.Namespace, findings: Findings,
           stop: bool) -> None:
    """Show what was found, and keep it.

    Args:
        out (Path): Folder of the results.
        args (argparse.Namespace): The options.
        findings (Findings): What was found.
        stop (bool): Whether no configs are written.
    """
    console = Console(record=True, width=None if sys.stdout.isatty() else
                      WIDTH)
    console.print(f'{args.unlabeled} and {args.labeled}', highlight=False)
    console.print(findings.table())
    broken = findings.count('broken')
    if findings.count('wrong'):
        console.print('[bold red]No configs:[/] what is marked as wrong '
                      'comes first.')
    elif stop:
        console.print('[bold red]No configs:[/] repair what is broken, or '
                      'leave it out by --skip-broken.')
    elif broken:
        console.print('What is broken is left out.')
    with atomic_write(str(out / REPORT), True, 'w') as file:
        file.write(console.export_text())


def write(out: Path, args: argparse.Namespace, unlabeled: ImageNames,
          names: list[str], sets: list[LabeledSet], advice) -> None:
    """Write data and configs, and say how to go on.

    Args:
        out (Path): Folder of the results.
        args (argparse.Namespace): The options.
        unlabeled (ImageNames): The images without labels.
        names (list[str]): Those to pretrain on.
        sets (list[LabeledSet]): The sets for training and for evaluation.
        advice (Advice): The settings.
    """
    for part, name in zip(sets, ('train', 'val')):
        write_coco(part, out / f'{name}.json', args.overwrite)
    with atomic_write(str(out / 'unlabeled.txt'), args.overwrite,
                      'w') as file:
        file.writelines(f'{name}\n' for name in names)
    choices = Choices(args.method, args.neck, args.detector, args.weights)
    write_configs(out, choices, unlabeled.prefix, sets, advice,
                  args.overwrite)
    save_image(draw_coco(str(out / 'train.json'), sets[0].root, 24),
               str(out / 'labels.png'))
    steps = [f'python tools/train.py {args.out}/pretrain.py',
             f'python tools/train.py {args.out}/detector.py',
             f'python tools/test.py {args.out}/detector.py '
             f'{args.out}/detector/iter_{advice.detector_iters}.pth']
    if args.method == 'soco':
        steps.insert(0, 'python tools/dataset_tools/generate_proposals.py '
                     f'{args.out}/unlabeled.txt {args.out}/unlabeled.mmprop '
                     f'--root {unlabeled.prefix}')
    print(f'Look at the boxes in {args.out}/labels.png. Then:')
    for step in steps:
        print(f'  {step}')


if __name__ == '__main__':
    main()
