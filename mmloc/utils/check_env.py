# Copyright (c) mmloc contributors. All rights reserved.
"""Checks that everything mmloc stands on is there and really works.

``python -m mmloc.utils.check_env`` prints one row per requirement and ends
with 1 when one fails. Every check imports what it needs by itself, so that
the table is complete on the most broken environment.
"""
import argparse
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import NamedTuple

OPENCV_FLAVOURS = ('opencv-python', 'opencv-python-headless',
                   'opencv-contrib-python', 'opencv-contrib-python-headless')
SETUP = 'bash tools/setup_env.sh'
REBUILD = f'pip uninstall -y mmcv && {SETUP}'


class Row(NamedTuple):
    """One requirement; fine when there is nothing to fix or to note.

    Attributes:
        name (str): The requirement.
        found (str): What was found.
        wanted (str): What is needed.
        fix (str): What to do when it fails, else empty.
        note (str): What is worth knowing although it works.
    """

    name: str
    found: str
    wanted: str
    fix: str = ''
    note: str = ''

    @property
    def verdict(self) -> str:
        """str: ``ok``, ``note`` or ``FAIL``."""
        return 'FAIL' if self.fix else 'note' if self.note else 'ok'


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {lines[0]}'


def _parse(requirement: str):
    try:
        from packaging.requirements import Requirement
    except ImportError:  # on a bare environment; pip brings its own
        from pip._vendor.packaging.requirements import Requirement
    return Requirement(requirement)


def check_python(version: Sequence[int] = sys.version_info) -> Row:
    """Check the version of Python; 3.10, 3.11 and 3.12 are supported."""
    found = '.'.join(str(part) for part in version[:3])
    good = (3, 10) <= tuple(version[:2]) < (3, 13)
    fix = f'{SETUP} --python python3.11'
    return Row('python', found, '>=3.10,<3.13', '' if good else fix)


def check_packages(extras: Sequence[str] = ('mim', )) -> list[Row]:
    """Check the versions that the installed metadata of mmloc asks for.

    Args:
        extras (Sequence[str]): Groups of requirements to check besides those
            of mmloc itself. Defaults to ``('mim', )``.

    Returns:
        list[Row]: One row for mmloc and one for each requirement.
    """
    try:
        rows = [Row('mmloc', metadata.version('mmloc'), 'installed')]
    except metadata.PackageNotFoundError:
        return [Row('mmloc', 'not installed', 'installed', SETUP)]
    for text in metadata.requires('mmloc') or []:
        need = _parse(text)
        if need.marker and not any(
                need.marker.evaluate({'extra': extra})
                for extra in ('', *extras)):
            continue
        wanted = str(need.specifier) or 'any version'
        try:
            found = metadata.version(need.name)
            good = need.specifier.contains(found, prereleases=True)
        except metadata.PackageNotFoundError:
            found, good = 'not installed', False
        rows.append(Row(need.name, found, wanted, '' if good else SETUP))
    return rows


def check_torchvision() -> Row:
    """Check that torch and torchvision are a pair: run an operator of both."""
    import torch
    pair = (f'torch {metadata.version("torch")}, '
            f'torchvision {metadata.version("torchvision")}')
    fix = 'install the torchvision of this torch, from the same source'
    built_for = [
        need for need in map(_parse, metadata.requires('torchvision') or [])
        if need.name == 'torch'
    ]
    for need in built_for:
        if not need.specifier.contains(metadata.version('torch'), True):
            return Row('torchvision ops', pair, str(need), fix)
    try:
        from torchvision.ops import nms
        nms(torch.tensor([[0., 0., 1., 1.]]), torch.ones(1), 0.5)
    except Exception as error:
        return Row('torchvision ops', f'{pair}: {_said(error)}',
                   'a matching pair', fix)
    return Row('torchvision ops', pair, 'a matching pair')


def check_mmcv_ops() -> Row:
    """Run an operator of mmcv, on the GPU too where there is one."""
    import torch
    from mmcv.ops import roi_align
    note = ''
    for device in ['cpu'] + ['cuda'] * torch.cuda.is_available():
        image = torch.ones(1, 1, 4, 4, device=device)
        box = torch.tensor([[0., 0., 0., 3., 3.]], device=device)
        try:
            roi_align(image, box, (2, 2), 1.0, 2, 'avg', True)
        except Exception as error:
            if device == 'cpu':
                raise
            note = (f'no GPU operators ({_said(error)}): install the CUDA '
                    f'toolkit with nvcc, then {REBUILD}')
    return Row('mmcv ops', 'CPU only' if note else 'work',
               'built for this torch', note=note)


def check_opencv() -> Row:
    """Check that exactly one flavour of OpenCV is installed and imports.

    The flavours share one folder: installing a second overwrites the first,
    and removing either breaks what is left.
    """
    found = {
        str(dist.metadata['Name']).lower().replace('_', '-')
        for dist in metadata.distributions()
    }.intersection(OPENCV_FLAVOURS)
    names = ', '.join(sorted(found)) or 'none'
    if len(found) == 1:
        import_module('cv2')
    fix = f'pip uninstall -y {" ".join(sorted(found))} && {SETUP}' \
        if found else SETUP
    return Row('OpenCV', names, 'exactly one flavour',
               '' if len(found) == 1 else fix)


def check_pkg_resources() -> Row:
    """Check for ``pkg_resources``, which mmengine imports for ``mmdet::``."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import_module('pkg_resources')
    return Row('pkg_resources', 'importable', 'importable (setuptools<82)')


class _Intruder:
    """Pickles as a call of ``eval``."""

    def __reduce__(self):
        return eval, ('1 + 1', )


def check_checkpoint() -> Row:
    """Check that checkpoints load, and that one with foreign code does not.

    What is saved is what mmengine's runner stores besides tensors: a history
    of logged values and a numpy scalar.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    from mmloc.utils.checkpoint import allow_mmengine_checkpoints
    allow_mmengine_checkpoints()
    name, wanted = 'checkpoints', 'load with weights_only=True only'
    file = io.BytesIO()
    hub = dict(loss=HistoryBuffer([1.0, 3.0], [1, 1]), eta=np.float64(0.5))
    torch.save(dict(weight=torch.ones(2), message_hub=hub), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)['message_hub']
    if loaded['loss'].mean() != 2.0 or loaded['eta'] != 0.5:
        raise ValueError('a checkpoint came back with other values')
    file = io.BytesIO()
    torch.save(dict(message_hub=_Intruder()), file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except Exception:
        return Row(name, 'load, foreign code refused', wanted)
    return Row(name, 'a file ran foreign code', wanted, SETUP)


def check_bases(package: str) -> Row:
    """Check that a config anywhere can inherit from ``package::``.

    Args:
        package (str): ``'mmdet'`` or ``'mmloc'``.
    """
    from mmengine.config import Config
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of pkg_resources
        path = Path(folder, 'config.py')
        path.write_text(f"_base_ = '{package}::_base_/default_runtime.py'\n")
        Config.fromfile(path)
    return Row(f'{package}:: configs', 'resolve', 'resolve')


def guarded(check: Callable[[], Row], name: str, wanted: str,
            fix: str) -> Row:
    """Run a check; whatever it raises becomes a row that fails."""
    try:
        return check()
    except Exception as error:
        return Row(name, _said(error), wanted, fix)


def check_all(extras: Sequence[str] = ('mim', )) -> list[Row]:
    """Run every check.

    Args:
        extras (Sequence[str]): See :func:`check_packages`.

    Returns:
        list[Row]: The rows in the order of the table.
    """
    rows = [check_python(), *check_packages(extras)]
    for check, name, wanted, fix in (
        (check_torchvision, 'torchvision ops', 'a matching pair', SETUP),
        (check_mmcv_ops, 'mmcv ops', 'built for this torch', REBUILD),
        (check_opencv, 'OpenCV', 'exactly one flavour', SETUP),
        (check_pkg_resources, 'pkg_resources', 'importable (setuptools<82)',
         "pip install 'setuptools<82'"),
        (check_checkpoint, 'checkpoints', 'load with weights_only=True only',
         SETUP),
    ):
        rows.append(guarded(check, name, wanted, fix))
    for package in ('mmdet', 'mmloc'):
        rows.append(
            guarded(lambda package=package: check_bases(package),
                    f'{package}:: configs', 'resolve', SETUP))
    for package in ('mmdet', 'mmpretrain'):
        rows.append(
            guarded(
                lambda package=package: Row(
                    f'import {package}', import_module(package).__version__,
                    'importable'), f'import {package}', 'importable', SETUP))
    return rows


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a table; plainly where rich is what is missing."""
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except ImportError:
        for row in rows:
            print(f'{row.verdict:4}  {row.name}: found {row.found}; wanted '
                  f'{row.wanted}. {row.fix or row.note}')
        return
    table = Table('requirement', 'found', 'wanted', 'verdict', 'fix')
    colours = dict(ok='green', note='yellow', FAIL='bold red')
    for row in rows:
        verdict = f'[{colours[row.verdict]}]{row.verdict}[/]'
        table.add_row(row.name, escape(row.found), row.wanted, verdict,
                      escape(row.fix or row.note))
    Console().print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks and show them.

    Returns:
        int: 1 when a check failed, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--extras', nargs='*', default=[], choices=['tests', 'docs',
                                                    'optional'],
        help='check these groups of requirements too')
    parser.add_argument(
        '--quiet', action='store_true', help='show only what is not in order')
    args = parser.parse_args(argv)
    rows = check_all(('mim', *args.extras))
    if args.quiet:
        rows = [row for row in rows if row.verdict != 'ok']
    if rows:
        show(rows)
    return int(any(row.fix for row in rows))


if __name__ == '__main__':
    sys.exit(main())
