# Copyright (c) mmloc contributors. All rights reserved.
"""Show the recipe of each transfer protocol and start, side by side.

Everything is read off the configs as they would be trained.

Examples:
    # what the starts change in one protocol
    python tools/analysis_tools/recipe_table.py --protocols \\
        mask-rcnn_r50_fpn_1x_coco

    # all of them, as docs/recipes.md has them
    python tools/analysis_tools/recipe_table.py --out docs/recipes.md --force
"""
import argparse
import copy
import csv
import io
import sys
from pathlib import Path

from mmloc.engine import launch
from mmloc.engine.recipes import COLUMNS, resolve_recipe
from mmloc.engine.starts import STARTS, lay_start, shipped_starts
from mmloc.utils.cli import user_errors
from mmloc.utils.files import atomic_write

PROTOCOLS = STARTS.parents[1] / 'transfer'
INTRO = """# Recipes

What the configs of [configs/transfer](../configs/transfer/README.md) come \
to, read off them by `python tools/analysis_tools/recipe_table.py --out \
docs/recipes.md --force`. Batches are those of all GPUs, sides the shorter \
ones in pixels. [Transfer](transfer.md) explains them.
"""


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--protocols', nargs='+', metavar='NAME',
        help='of configs/transfer, or paths; all without the toys by default')
    parser.add_argument(
        '--starts', nargs='+', metavar='NAME',
        help='of configs/_base_/starts, or paths; all by default')
    parser.add_argument('--format', choices=['md', 'csv'], default='md')
    parser.add_argument('--out', help='a file in place of the terminal')
    parser.add_argument(
        '--force', action='store_true', help='replace the file')
    parser.add_argument(
        '--traceback', action='store_true', help='show errors in full')
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with user_errors(args.traceback):
        recipes = collect(args.protocols, args.starts)
        text = (to_csv if args.format == 'csv' else to_markdown)(recipes)
        if args.out is None:
            sys.stdout.write(text)
            return
        with atomic_write(args.out, args.force, 'w') as file:
            file.write(text)


def collect(protocols: list[str] | None,
            starts: list[str] | None) -> list[dict[str, str]]:
    """Resolve recipes.

    Args:
        protocols (list[str], optional): Names or paths; None for all.
        starts (list[str], optional): Names or paths; None for all.

    Returns:
        list[dict[str, str]]: A recipe for each pair, by protocol.

    Raises:
        FileNotFoundError: There is no such protocol.
        ValueError: There is no such start, or a config is no protocol.
    """
    starts = starts or sorted(shipped_starts(),
                              key=lambda name: (name != 'scratch', name))
    laid = {
        Path(name).stem: launch.load_config(launch.find_start(name))
        for name in starts
    }
    recipes = []
    for name in protocols or shipped_protocols():
        path = PROTOCOLS / f'{name}.py'
        protocol = launch.load_config(str(path if path.is_file() else name))
        for start, cfg in laid.items():
            resolved = copy.deepcopy(protocol)
            lay_start(resolved, cfg)
            recipes.append(resolve_recipe(resolved, Path(name).stem, start))
    return recipes


def shipped_protocols() -> list[str]:
    """list[str]: Names of the protocols in configs/transfer, toys aside."""
    return sorted(path.stem for path in PROTOCOLS.glob('*.py')
                  if not path.stem.endswith('_toy'))


def to_csv(recipes: list[dict[str, str]]) -> str:
    """Write one line for each recipe."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(recipes)
    return file.getvalue()


def to_markdown(recipes: list[dict[str, str]]) -> str:
    """Write a table of the protocols, and what each start makes of them."""
    by_protocol: dict[str, list[dict[str, str]]] = {}
    for recipe in recipes:
        by_protocol.setdefault(recipe['protocol'], []).append(recipe)
    starts = list(dict.fromkeys(recipe['start'] for recipe in recipes))
    fields = [name for name in COLUMNS
              if name not in ('protocol', 'start', 'weights')]
    text = f'{INTRO}\n## With the start `{starts[0]}`\n\n' + _table(
        ['protocol', *fields],
        [[f'`{name}`', *(row[0][field] for field in fields)]
         for name, row in by_protocol.items()])
    if len(starts) > 1:
        text += '\n## What the others change\n\n' + _table(
            ['protocol', *(f'`{start}`' for start in starts[1:])],
            [[f'`{name}`', *(_changes(row[0], recipe, fields)
                             for recipe in row[1:])]
             for name, row in by_protocol.items()])
    return text


def _changes(reference: dict[str, str], recipe: dict[str, str],
             fields: list[str]) -> str:
    """What differs in a recipe, for a cell."""
    return '; '.join(f'{field}: {recipe[field]}' for field in fields
                     if recipe[field] != reference[field]) or '='


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


if __name__ == '__main__':
    main()
