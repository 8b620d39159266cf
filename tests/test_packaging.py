# Copyright (c) mmloc contributors. All rights reserved.
"""Tests of what a wheel and an editable install carry."""
import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'insloc/insloc_r50_fpn_8xb32-coslr-200e_in1k.py'

# What a project does that inherits from mmloc and never imports it.
INHERIT = f"""
import json, sys
before = sorted({{'mmloc', 'mmengine', 'torch'}}.intersection(sys.modules))
from pathlib import Path
from mmengine.config import Config
from mmengine.hub import get_config
Path('config.py').write_text("_base_ = 'mmloc::{CONFIG}'\\n")
inherited = Config.fromfile('config.py')
found = get_config('mmloc::{CONFIG}')
import mmloc
print(json.dumps(dict(before=before, filename=found.filename,
                      package=mmloc.__file__,
                      inherited=inherited.to_dict(), found=found.to_dict())))
"""


def run(command, **kwargs):
    """Run a command, and fail with its output."""
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the checkout: building leaves files in the tree."""
    folder = tmp_path_factory.mktemp('source') / 'mmloc'
    skip = shutil.ignore_patterns(
        '.git', '.venv', 'data', 'work_dirs', 'build', '*.egg-info',
        '__pycache__', '.*_cache')
    shutil.copytree(ROOT, folder, symlinks=True, ignore=skip)
    return folder


@pytest.fixture(scope='module')
def wheels(source, tmp_path_factory):
    """The wheel and the wheel of an editable install."""
    folder = tmp_path_factory.mktemp('wheels')
    run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-build-isolation',
         '--no-deps', '--no-index', '--wheel-dir', folder, source])
    wheel = next(folder.iterdir())
    editable = folder / 'editable'
    editable.mkdir()
    run([sys.executable, '-c', 'import sys; sys.path.insert(0, ".dev"); '
         'import wheel_backend; '
         f'wheel_backend.build_editable({str(editable)!r})'], cwd=source)
    return dict(wheel=wheel, editable=next(editable.iterdir()))


@pytest.fixture(scope='module', params=['wheel', 'editable'])
def installed(request, wheels, tmp_path_factory):
    """A Python into which mmloc has been installed."""
    folder = tmp_path_factory.mktemp(request.param)
    run([sys.executable, '-m', 'venv', '--without-pip', folder])
    site = next(folder.glob('lib/python*/site-packages'))
    run([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps',
         '--no-index', '--target', site, wheels[request.param]])
    # Everything else comes from here; a path that stands in a .pth file is
    # searched, but its own .pth files, ours among them, are not executed.
    (site / 'zz_rest.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return folder / 'bin' / 'python'


def clean_environment():
    """Leave out what would let Python find the checkout."""
    return {key: value for key, value in os.environ.items()
            if key != 'PYTHONPATH'}


def without_scopes(config, scopes):
    """Copy a config without its ``_scope_`` keys, which are collected."""
    if isinstance(config, dict):
        if config.get('_scope_'):
            scopes.add(config['_scope_'])
        return {key: without_scopes(value, scopes)
                for key, value in config.items() if key != '_scope_'}
    if isinstance(config, (list, tuple)):
        return [without_scopes(value, scopes) for value in config]
    return config


@pytest.mark.slow
def test_inherits_in_a_project_that_does_not_import_mmloc(
        installed, source, tmp_path):
    """The reason for ``_mmloc_bases.pth``."""
    said = json.loads(run([installed, '-c', INHERIT], cwd=tmp_path,
                          env=clean_environment()).splitlines()[-1])
    assert said['before'] == []
    home = source if 'editable' in str(installed) else installed.parents[1]
    assert said['package'].startswith(str(home))
    assert said['filename'].startswith(str(home))
    scopes = set()
    wanted = without_scopes(
        Config.fromfile(ROOT / 'configs' / CONFIG).to_dict(), set())
    assert without_scopes(said['found'], scopes) == wanted
    assert without_scopes(said['inherited'], scopes) == wanted
    # With 'mmloc' here 'RandomFlip' would become mmcv's.
    assert scopes == {'mmdet'}


@pytest.mark.slow
@pytest.mark.parametrize('installed', ['wheel'], indirect=True)
def test_mmdet_trains_what_inherits_from_mmloc(installed, tmp_path):
    """Pretraining, then a detector that starts from it, by mmdet's tool."""
    program = ('import mmdet, mmloc, pathlib; '
               'print(*(pathlib.Path(package.__file__).parent / ".mim/tools" '
               'for package in (mmloc, mmdet)), sep="\\n")')
    options = dict(cwd=tmp_path, env={
        **clean_environment(), 'OMP_NUM_THREADS': '1'})
    ours, theirs = run([installed, '-c', program], **options).splitlines()
    run([installed, f'{ours}/dataset_tools/make_toy_dataset.py',
         '--unlabeled', '4', '--train', '4', '--val', '2'], **options)
    for name, base, lines in (
        ('pretrain', 'insloc_r18_fpn_toy', ''),
        ('detector', 'downstream/faster-rcnn_r18-insloc-pre_fpn_toy',
         "load_from = 'pretrain/epoch_1.pth'\n"),
    ):
        (tmp_path / f'{name}.py').write_text(
            f"_base_ = 'mmloc::insloc/{base}.py'\n{lines}"
            'train_dataloader = dict(batch_size=2, num_workers=0, '
            'persistent_workers=False)\n'
            'train_cfg = dict(max_epochs=1)\n')
        run([installed, f'{theirs}/train.py', f'{name}.py', '--work-dir',
             name], **options)
        assert (tmp_path / name / 'epoch_1.pth').is_file()


@pytest.mark.slow
def test_python_starts_without_mmloc(wheels, tmp_path):
    """Somebody may remove the package by hand and leave the start-up file."""
    run([sys.executable, '-m', 'venv', '--without-pip', tmp_path])
    site = next(tmp_path.glob('lib/python*/site-packages'))
    shutil.copy(ROOT / '_mmloc_bases.pth', site)
    for text in (None, 'raise RuntimeError', 'syntax error'):
        if text is not None:
            (site / '_mmloc_bases.py').write_text(text)
        done = subprocess.run(
            [tmp_path / 'bin/python', '-c', 'print("started")'],
            capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ('started\n', '')


@pytest.mark.slow
def test_wheel_is_complete(wheels, source):
    with zipfile.ZipFile(wheels['wheel']) as wheel:
        names = set(wheel.namelist())
        record = next(name for name in names if name.endswith('/RECORD'))
        rows = list(csv.reader(wheel.read(record).decode().splitlines()))
        for name, digest, size in rows:
            if name != record:
                content = wheel.read(name)
                real = base64.urlsafe_b64encode(
                    hashlib.sha256(content).digest()).decode().rstrip('=')
                assert (digest, size) == (f'sha256={real}', str(len(content)))
        assert {row[0] for row in rows} == names
        assert wheel.read('mmloc/.mim/model-index.yml').decode() == (
            source / 'model-index.yml').read_text()
    for folder in ('configs', 'tools'):
        wanted = {f'mmloc/.mim/{path.relative_to(source).as_posix()}'
                  for path in (source / folder).rglob('*')
                  if path.is_file() and '__pycache__' not in path.parts}
        assert wanted <= names
    assert '_mmloc_bases.pth' in names
    assert {f'mmloc/datasets/label_lists/mini_coco/fold{i}.txt'
            for i in range(1, 6)} <= names
    assert not [name for name in names if name.startswith('tests')]


@pytest.mark.parametrize('name', ['configs', 'tools', 'model-index.yml'])
def test_links_resolve_in_a_checkout(name):
    link = ROOT / 'mmloc' / '.mim' / name
    assert link.is_symlink()
    assert not os.path.isabs(os.readlink(link))
    assert link.resolve() == ROOT / name


def test_mmengine_still_needs_the_patch():
    """When this fails, mmengine knows mmloc or looks packages up by itself.

    Then ``_mmloc_bases`` and what ships it can go, once the oldest mmengine
    that is supported does.
    """
    program = (
        f'import sys; sys.path[:0] = [{sysconfig.get_path("purelib")!r}]; '
        'from mmengine.config.utils import _get_package_and_cfg_path as get; '
        f'get("mmloc::{CONFIG}")')
    done = subprocess.run([sys.executable, '-S', '-c', program],
                          capture_output=True, text=True)
    assert 'mmengine does not support to load mmloc' in done.stderr


def test_patch_is_applied_once():
    import mmengine.config.config as module

    import _mmloc_bases
    before = module.Config._get_cfg_path
    _mmloc_bases.install()
    assert module.Config._get_cfg_path is before
    assert before.__module__ == '_mmloc_bases'
