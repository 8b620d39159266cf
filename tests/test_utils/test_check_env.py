# Copyright (c) mmloc contributors. All rights reserved.
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mmloc
from mmloc.utils import check_env

ROOT = Path(mmloc.__file__).resolve().parents[1]


def add_distribution(folder, name, version, *requires):
    """Write the metadata of a package, as an installation leaves it."""
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    lines = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}']
    lines += [f'Requires-Dist: {need}' for need in requires]
    (info / 'METADATA').write_text('\n'.join(lines) + '\n')


def add_module(folder, name, text):
    """Write a package that shadows the installed one."""
    (folder / name).mkdir(parents=True)
    (folder / name / '__init__.py').write_text(text)


def run_python(folder, *args):
    """Run Python with a folder in front of everything that is installed."""
    return subprocess.run(
        [sys.executable, *args], cwd=folder, capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': f'{folder}:{ROOT}', 'COLUMNS': '300'})


def row_of(output, name):
    """Return the line of the table about one requirement."""
    return next(line for line in output.splitlines() if f' {name} ' in line)


def test_everything_is_in_order_here():
    rows = check_env.check_all(('mim', 'tests'))
    assert [row for row in rows if row.fix] == []
    assert {'torch', 'mmcv', 'ruff'} <= {row.name for row in rows}


@pytest.mark.parametrize(('version', 'verdict'), [
    ((3, 9, 18), 'FAIL'), ((3, 10, 0), 'ok'), ((3, 12, 9), 'ok'),
    ((3, 13, 0), 'FAIL')])
def test_python(version, verdict):
    assert check_env.check_python(version).verdict == verdict


@pytest.mark.parametrize(('name', 'version'), [
    ('numpy', '1.20.0'), ('mmcv', '2.2.0'), ('setuptools', '82.0.0'),
    ('torch', '2.14.0'), ('mmdet', '3.2.0')])
def test_wrong_version(name, version, tmp_path, monkeypatch):
    add_distribution(tmp_path, name, version)
    monkeypatch.syspath_prepend(str(tmp_path))
    failing = [row for row in check_env.check_packages() if row.fix]
    assert [(row.name, row.found) for row in failing] == [(name, version)]


def test_two_opencv_flavours(tmp_path, monkeypatch):
    before = check_env.check_opencv()
    other = 'opencv-contrib-python'
    add_distribution(tmp_path, other, '4.0.0')
    monkeypatch.syspath_prepend(str(tmp_path))
    row = check_env.check_opencv()
    assert (before.verdict, row.verdict) == ('ok', 'FAIL')
    assert {before.found, other} == set(row.found.split(', '))


def test_torchvision_of_another_torch(tmp_path, monkeypatch):
    add_distribution(tmp_path, 'torchvision', '0.22.0', 'torch==2.7.0')
    monkeypatch.syspath_prepend(str(tmp_path))
    row = check_env.check_torchvision()
    assert row.verdict == 'FAIL'
    assert row.wanted == 'torch==2.7.0'


def test_checkpoint_loading_that_fails(monkeypatch):
    allowed = torch.serialization.get_safe_globals()
    monkeypatch.setattr('mmloc.utils.checkpoint.allow_mmengine_checkpoints',
                        torch.serialization.clear_safe_globals)
    try:
        row = check_env.guarded(check_env.check_checkpoint, 'checkpoints',
                                'load', 'fix')
    finally:
        torch.serialization.add_safe_globals(allowed)
    assert row.verdict == 'FAIL'
    assert 'UnpicklingError' in row.found


def test_checkpoint_loading_that_is_unsafe(monkeypatch):
    careless = functools.partial(torch.load)

    def load(file, weights_only):
        return careless(file, weights_only=False)

    monkeypatch.setattr(torch, 'load', load)
    row = check_env.check_checkpoint()
    assert row.verdict == 'FAIL'
    assert 'foreign code' in row.found


def test_table_of_a_broken_environment(tmp_path):
    """Operators that do not load, and no pkg_resources."""
    add_module(
        tmp_path, 'torchvision',
        "raise RuntimeError('operator torchvision::nms does not exist')")
    add_module(tmp_path, 'mmcv', "__version__ = '2.1.0'")
    add_module(tmp_path / 'mmcv', 'ops',
               "raise ImportError('_ext.so: undefined symbol: _ZN3c10')")
    add_module(tmp_path, 'pkg_resources', "raise ImportError('is gone')")
    done = run_python(tmp_path, '-m', 'mmloc.utils.check_env')
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    for name, said in (('torchvision ops', 'torchvision::nms'),
                       ('mmcv ops', 'undefined symbol'),
                       ('pkg_resources', 'is gone'),
                       ('mmdet:: configs', 'is gone'),
                       ('mmloc:: configs', 'is gone')):
        assert 'FAIL' in row_of(done.stdout, name)
        assert said in row_of(done.stdout, name)
    assert 'ok' in row_of(done.stdout, 'checkpoints')


def test_table_of_an_environment_with_nothing(tmp_path):
    for name in ('torch', 'rich', 'mmengine', 'mmcv', 'numpy', 'packaging'):
        add_module(tmp_path, name, f"raise ImportError('no {name}')")
    done = run_python(tmp_path, '-m', 'mmloc.utils.check_env', '--quiet')
    assert done.returncode == 1
    assert done.stderr == ''
    assert 'FAIL  checkpoints: found ImportError: no ' in done.stdout
    assert 'ok  ' not in done.stdout


@pytest.mark.parametrize(('name', 'version'), [
    ('torch', '2.14.0'), ('torch', '2.5.1+cu121'), ('mmcv', '2.2.0'),
    ('mmdet', '3.2.0')])
def test_import_of_mmloc_is_gated(name, version, tmp_path):
    add_distribution(tmp_path, name, version)
    add_module(tmp_path, 'mmengine', '')  # nothing may be needed before that
    done = run_python(tmp_path, '-c', 'import mmloc')
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f'RuntimeError: mmloc needs {name}>=')
    assert f'but found {version}: run "bash tools/setup_env.sh"' in said


def test_gates_agree_with_the_requirements():
    needs = {}
    for name in ('runtime', 'mminstall'):
        for line in (ROOT / f'requirements/{name}.txt').open():
            if line.strip() and not line.startswith('#'):
                need = check_env._parse(line.strip())
                needs[need.name] = str(need.specifier)
    for name, (first, stop) in mmloc.SUPPORTED.items():
        assert needs[name] == f'<{stop},>={first}'
