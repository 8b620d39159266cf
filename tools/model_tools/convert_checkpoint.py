# Copyright (c) mmloc contributors. All rights reserved.
"""Convert checkpoints from and to other projects.

IN is a checkpoint of a pretraining by mmloc or by the official code of InsLoc
or SoCo, or of a detector of mmdet or detectron2. Its names tell which. What
each form holds stands in docs/checkpoints.md.

Examples:
    T=tools/model_tools/convert_checkpoint.py
    python $T insloc_fpn_200ep.pth insloc_r50_fpn_200e.pth --to mmloc
    python $T work_dirs/my_insloc/epoch_200.pth d2.pkl --to detectron2
    python $T work_dirs/my_soco/epoch_100.pth resnet50.pth --to torchvision
"""
import argparse
from collections import Counter

from rich.console import Console
from rich.table import Table

from mmloc.engine import compare_state_dicts
from mmloc.export import (
    TARGETS,
    Conversion,
    check_ending,
    convert_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from mmloc.utils.cli import user_errors
from mmloc.utils.files import refuse_existing


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='IN', help='a checkpoint')
    parser.add_argument('out', metavar='OUT', help='what is written')
    parser.add_argument(
        '--to', choices=TARGETS, required=True,
        help="whose names OUT gets; safetensors has mmloc's")
    parser.add_argument(
        '--network', choices=['online', 'target'], default='online',
        help="whose weights a detector's form gets; the default, online, is "
        'that of the published conversions')
    parser.add_argument(
        '--steps', type=int, metavar='N',
        help='to mmloc: number of updates of the target network so far, the '
        'place on its momentum schedule; 1, the default, starts it anew')
    parser.add_argument(
        '--trust', action='store_true',
        help='read IN even if that may run code in it')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace OUT')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Convert and say what was done."""
    args = parse_args()
    with user_errors(args.traceback):
        check_ending(args.out, args.to)
        refuse_existing(args.out, args.overwrite)
        checkpoint = read_checkpoint(args.source, args.trust)
        conversion = convert_checkpoint(
            checkpoint, args.to, args.network, args.steps)
        write_checkpoint(conversion.content, args.out, args.overwrite)
        print_table(args.out, conversion)


def print_table(title: str, conversion: Conversion) -> None:
    """Print what each module has, and what was left out.

    Args:
        title (str): What stands above the table.
        conversion (Conversion): What was written.
    """
    run = conversion.meta['converted_from']
    table = Table(
        'module',
        title=title,
        caption='from ' + ', '.join(
            f'{key} {value}' for key, value in run.items()))
    for column in ('tensors', 'numbers'):
        table.add_column(column, justify='right')
    state = {name.removeprefix('module.'): tensor
             for name, tensor in conversion.state.items()}
    for name, module in compare_state_dicts(state, state).modules.items():
        numbers = sum(state[tensor].numel() for tensor in module.loaded)
        table.add_row(name, str(len(module.loaded)), f'{numbers:,}')
    left_out = Counter(name.split('.')[0] for name in conversion.left_out)
    for name, count in left_out.items():
        table.add_row(f'{name} (left out)', str(count), style='dim')
    Console().print(table)


if __name__ == '__main__':
    main()
