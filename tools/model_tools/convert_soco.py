# Copyright (c) mmloc contributors. All rights reserved.
"""Convert checkpoints of SoCo between the official code and mmloc.

The weights and names of FPN, SoCo* and C4 are carried over, online and target
network alike; the optimizer is not.

Examples:
    T=tools/model_tools/convert_soco.py
    python $T ckpt_epoch_400.pth soco_r50_fpn_400e.pth
    python tools/train.py CONFIG --load-from soco_r50_fpn_400e.pth
    python $T work_dirs/my_soco/epoch_100.pth ckpt_epoch_100.pth
"""
import argparse

from rich.console import Console
from rich.table import Table

from mmloc.engine import compare_state_dicts
from mmloc.export import convert_soco, read_checkpoint, write_checkpoint
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
        '--to', choices=['official', 'mmloc'],
        help='whose names OUT gets; by default those that IN does not have')
    parser.add_argument(
        '--steps', type=int, default=1, metavar='N',
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
        refuse_existing(args.out, args.overwrite)
        checkpoint = read_checkpoint(args.source, args.trust)
        converted = convert_soco(checkpoint, args.to, args.steps)
        write_checkpoint(converted, args.out, args.overwrite)
        print_table(args.out, converted)


def print_table(title: str, checkpoint: dict) -> None:
    """Print how many tensors and numbers each module has.

    Args:
        title (str): What stands above the table.
        checkpoint (dict): The converted checkpoint.
    """
    state = checkpoint.get('state_dict') or checkpoint['model']
    state = {name.removeprefix('module.'): x for name, x in state.items()}
    run = checkpoint.get('meta', {}).get('converted_from', {})
    table = Table(
        'module',
        title=title,
        caption=', '.join(f'{key} {value}' for key, value in run.items()))
    for column in ('tensors', 'numbers'):
        table.add_column(column, justify='right')
    for name, module in compare_state_dicts(state, state).modules.items():
        numbers = sum(state[tensor].numel() for tensor in module.loaded)
        table.add_row(name, str(len(module.loaded)), f'{numbers:,}')
    Console().print(table)


if __name__ == '__main__':
    main()
