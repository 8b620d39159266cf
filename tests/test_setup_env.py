# Copyright (c) mmloc contributors. All rights reserved.
"""Tests of tools/setup_env.sh on environments of its own."""
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ('tools/setup_env.sh', '.dev/env_facts.py', 'requirements')
OFFLINE = dict(
    PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL='http://127.0.0.1:9/simple',
    PIP_EXTRA_INDEX_URL='', PIP_FIND_LINKS='', PIP_RETRIES='0')


def run_setup(checkout, *args, script='bash tools/setup_env.sh "$@"', **env):
    """Run the script of a checkout, or a script that uses its functions."""
    # pip asks rustc for its version, and a proxy of that leaves a folder.
    environment = {
        **os.environ, **OFFLINE, 'MMLOC_CACHE': str(checkout / 'cache'),
        'HOME': str(checkout / 'home'), 'CI': 'true',
        'RUSTUP_HOME': str(checkout / 'rustup'), **env}
    for name in ('VIRTUAL_ENV', 'PYTHONPATH', 'XDG_CACHE_HOME'):
        environment.pop(name, None)
    return subprocess.run(
        ['bash', '-c', script, 'bash', *args], cwd=checkout, env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True)


def use(functions):
    """A script that calls functions of setup_env.sh as its main part does."""
    return f"""source tools/setup_env.sh
        ROOT=$PWD VENV=$PWD/.venv PY=$PWD/.venv/bin/python CACHE=$MMLOC_CACHE
        mkdir -p "$CACHE" && LOG=$CACHE/log && : >"$LOG"
        {functions}"""


def add_package(checkout, name, version):
    """Leave the metadata of a package in the environment of a checkout."""
    site = next(checkout.glob('.venv/lib/python*/site-packages'))
    info = site / f'{name}-{version}.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    (info / 'RECORD').write_text(
        f'{info.name}/METADATA,,\n{info.name}/RECORD,,\n')


def add_command(checkout, name, text):
    """Put a command in front of the others; return the PATH to use."""
    folder = checkout / 'bin'
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/usr/bin/env bash\n{text}\n')
    (folder / name).chmod(0o755)
    return f'{folder}:{os.environ["PATH"]}'


def sentence(done):
    """Return the only line that a failing run ends with."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ''
    last = done.stderr.splitlines()[-1]
    assert last.startswith('setup_env: ')
    return last


@pytest.fixture
def checkout(tmp_path):
    """What the script needs of a checkout, without an environment."""
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    (tmp_path / 'home').mkdir()
    return tmp_path


@pytest.fixture(scope='session')
def empty_venv(tmp_path_factory):
    """An environment with nothing but pip."""
    folder = tmp_path_factory.mktemp('empty') / '.venv'
    subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
    return folder


@pytest.fixture
def with_venv(checkout, empty_venv):
    """A checkout with an environment with nothing but pip."""
    shutil.copytree(empty_venv, checkout / '.venv', symlinks=True)
    return checkout


def test_help_and_unknown_option(checkout):
    done = run_setup(checkout, '--help')
    assert done.returncode == 0
    assert '--python PYTHON' in done.stdout
    assert 'There is no option --tset.' in sentence(
        run_setup(checkout, '--tset'))
    assert not (checkout / '.venv').exists()


@pytest.mark.parametrize('args', [(), ('--python', 'python3')])
def test_unsupported_python(checkout, args):
    old = ('import sys, runpy; sys.version_info = (3, 9, 1, "final", 0); '
           'del sys.argv[0]; runpy.run_path(sys.argv[0], run_name="__main__")')
    for name in ('python', 'python3', 'python3.10', 'python3.11',
                 'python3.12'):
        path = add_command(checkout, name,
                           f"exec {sys.executable} -c '{old}' \"$@\"")
    said = sentence(run_setup(checkout, *args, PATH=path))
    assert 'is not Python 3.10, 3.11 or 3.12' in said
    assert '--python' in said


def test_python_that_does_not_exist(checkout):
    said = sentence(run_setup(checkout, '--python', 'no-such-python'))
    assert 'no-such-python is not Python 3.10' in said


def test_python_other_than_that_of_the_environment(with_venv):
    add_command(with_venv, 'newer', 'echo Python 3.12.99')
    said = sentence(
        run_setup(with_venv, '--python', str(with_venv / 'bin/newer')))
    assert re.search(r'\.venv is made from Python 3\.[\d.]+, which', said)


def test_python_without_venv(checkout):
    blocked = ('import sys; sys.modules["ensurepip"] = None; '
               'sys.argv[:1] = []; exec(compile(sys.argv[1] if '
               'sys.argv[0] == "-c" else open(sys.argv[0]).read(), "x", '
               '"exec"))')
    add_command(checkout, 'bare-python',
                f"exec {sys.executable} -c '{blocked}' \"$@\"")
    said = sentence(
        run_setup(checkout, '--python', str(checkout / 'bin/bare-python')))
    assert 'apt-get install python3-venv' in said


def test_no_compiler(with_venv):
    said = sentence(run_setup(with_venv, CXX='no-such-compiler'))
    assert 'There is no C++ compiler' in said
    assert 'apt-get install g++' in said


def test_no_python_headers(with_venv):
    path = add_command(with_venv, 'c++', 'exit 0')
    site = next(with_venv.glob('.venv/lib/python*/site-packages'))
    (site / 'no_headers.pth').write_text(
        'import sysconfig; sysconfig.get_path = lambda name: "/nowhere"\n')
    said = sentence(run_setup(with_venv, PATH=path))
    assert 'There is no /nowhere/Python.h' in said


def test_full_disk(with_venv):
    path = add_command(
        with_venv, 'df', 'echo header; echo disk 99999999 99 3145728 97% /')
    said = sentence(run_setup(with_venv, PATH=path))
    assert re.search(r'Only 3 GB are free where .* 11 GB are needed', said)


def test_no_network(with_venv):
    done = run_setup(with_venv)
    assert 'The package index cannot be reached' in sentence(done)
    assert 'Installing torch' in done.stderr.splitlines()[0]
    assert list((with_venv / 'cache' / 'tmp').iterdir()) == []
    assert list((with_venv / 'home').iterdir()) == []


@pytest.mark.parametrize('version', ['2.5.1', '2.14.0'])
def test_unsupported_torch_is_left_alone(with_venv, version):
    add_package(with_venv, 'torch', version)
    said = sentence(run_setup(with_venv))
    assert f'has torch {version}, which is left alone' in said
    assert 'mmloc needs torch>=2.6,<2.14' in said


@pytest.mark.parametrize(('torch', 'torchvision'), [
    ('2.6.0', '0.21.0'), ('2.7.1+cu128', '0.22.1'), ('2.13.0', '0.28.0')])
def test_torchvision_of_a_torch_that_is_there(with_venv, torch, torchvision):
    add_package(with_venv, 'torch', torch)
    done = run_setup(with_venv, script=use("""
        install() { echo "Installing $*" | tee -a "$CACHE/asked"; }
        works() { true; }
        install_torch"""))
    assert done.returncode == 0
    asked = (with_venv / 'cache' / 'asked').read_text()
    assert asked == f'Installing --no-deps torchvision=={torchvision}\n'


@pytest.mark.slow
@pytest.mark.parametrize(('there', 'before', 'kept', 'broken'), [
    (['opencv_python_headless'], 'opencv_python_headless',
     'opencv-python-headless', ''),
    (['opencv_python_headless', 'opencv_python'], 'opencv_python_headless',
     'opencv-python-headless', ''),
    (['opencv_python', 'opencv_contrib_python'], 'opencv_python',
     'opencv-python', ''),
    ([], 'opencv_python', 'opencv-python', ''),
    (['opencv_python'], 'opencv_python', 'opencv-python-headless',
     'opencv_python'),
], ids=['one', 'keeps the first', 'any two', 'none', 'does not load'])
def test_one_opencv_is_kept(with_venv, there, before, kept, broken):
    index = with_venv / 'wheels'
    index.mkdir()
    for name in {*there, 'opencv_python', 'opencv_python_headless'}:
        write_opencv(index / f'{name}-4.9-py3-none-any.whl', name == broken)
    offline = dict(PIP_NO_INDEX='1', PIP_FIND_LINKS=str(index))
    for name in there:
        subprocess.run(
            [with_venv / '.venv/bin/python', '-m', 'pip', 'install', '-q',
             f'{index}/{name}-4.9-py3-none-any.whl'], check=True)
    done = run_setup(
        with_venv, **offline, script=use(
            f'keep_one_opencv {before.replace("_", "-")}; facts opencv; '
            '"$PY" -c "import cv2; print(cv2.flavour)"'))
    assert done.stdout.split() == [kept, kept.replace('-', '_')], done.stderr
    assert bool(done.stderr) == (there != [before] or bool(broken))


def write_opencv(path, broken=False):
    """Write a wheel that stands for a flavour of OpenCV."""
    name = path.name.partition('-')[0]
    info = f'{name}-4.9.dist-info'
    files = {
        'cv2.py': 'raise ImportError("libGL.so.1")' if broken else
        f'flavour = {name!r}',
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: '
        f'{name.replace("_", "-")}\nVersion: 4.9\n',
        f'{info}/WHEEL': 'Wheel-Version: 1.0\nGenerator: x\n'
        'Root-Is-Purelib: true\nTag: py3-none-any\n'}
    record = ''.join(f'{file},,\n' for file in [*files, f'{info}/RECORD'])
    with zipfile.ZipFile(path, 'w') as wheel:
        for file, text in {**files, f'{info}/RECORD': record}.items():
            wheel.writestr(file, text)


@pytest.mark.slow
def test_progress_of_the_build(checkout):
    lines = '; '.join(
        f'echo "  [{k}/4] c++ -c file"; sleep 1.1' for k in range(1, 5))
    done = run_setup(checkout, script=use(
        f'{{ {lines}; }} | (SECONDS=1000; progress)').replace(
            'source tools/setup_env.sh',
            'source <(sed "s/last >= 20/1/" tools/setup_env.sh)'))
    assert re.search(r'compiled 2 of 4 files, 50 %, about 0:0[1-9] left',
                     done.stderr), done.stderr


def test_wheel_that_does_not_load_is_built_again(with_venv):
    """A wheel kept for this key, say by another machine, may not load."""
    done = run_setup(with_venv, script=use("""
        facts() { case $1 in operators) echo cpu ;; key) echo a-key ;; esac; }
        build_mmcv() { mkdir -p "$1"; echo fresh >"$1/mmcv-2.1.0-new.whl"; }
        install() { cp "${!#}" "$CACHE/installed"; }
        works() { grep -qs fresh "$CACHE/installed"; }
        mkdir -p "$CACHE/wheels/a-key"
        echo stale >"$CACHE/wheels/a-key/mmcv-2.1.0-old.whl"
        install_mmcv"""))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in
            (with_venv / 'cache/wheels/a-key').iterdir()
            ] == ['mmcv-2.1.0-new.whl']


@pytest.mark.parametrize(('gpu', 'nvcc', 'wanted'), [
    (True, '13.1', 'cu13.0-sm90'), (True, '12.4', 'cpu-no-nvcc'),
    (True, None, 'cpu-no-nvcc'), (False, '13.0', 'cpu')])
def test_operators_that_mmcv_is_built_with(gpu, nvcc, wanted, tmp_path):
    """With a stand-in for torch, since a GPU may not be there."""
    for name, text in {
            'torch/__init__.py':
            'class cuda:\n    is_available = staticmethod('
            f'lambda: {gpu})\n    get_device_capability = staticmethod('
            "lambda: (9, 0))\nclass version:\n    cuda = '13.0'\n",
            'torch/utils/__init__.py': '',
            'torch/utils/cpp_extension.py':
            f'CUDA_HOME = {str(tmp_path) if nvcc else None!r}\n'}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    add_command(tmp_path, 'nvcc',
                f'echo Cuda compilation tools, release {nvcc}, V{nvcc}.1')
    done = subprocess.run(
        [sys.executable, ROOT / '.dev/env_facts.py', 'operators'],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        capture_output=True, text=True)
    assert done.stdout == f'{wanted}\n', done.stderr


def test_key_of_a_built_wheel():
    import torch
    said = subprocess.run(
        [sys.executable, ROOT / '.dev/env_facts.py', 'key', 'cpu', '2.1.0'],
        capture_output=True, text=True).stdout.strip()
    assert said.startswith(f'cp{sys.version_info[0]}{sys.version_info[1]}-')
    assert said.endswith(f'-torch{torch.__version__}-cpu-mmcv2.1.0')


def test_versions_to_install_meet_the_requirements():
    from packaging.requirements import Requirement
    script = (ROOT / 'tools/setup_env.sh').read_text()
    pins = dict(re.findall(r'(mm\w+)==([\d.]+)', script))
    pins.update((name.lower(), version) for name, version in re.findall(
        r'^(TORCH|TORCHVISION|MMCV)=([\d.]+)$', script, re.MULTILINE))
    assert len(pins) == 6
    for name in ('runtime', 'mminstall'):
        for line in (ROOT / f'requirements/{name}.txt').open():
            if not line.startswith('#'):
                need = Requirement(line.strip())
                assert need.name not in pins or need.specifier.contains(
                    pins[need.name])


@pytest.mark.slow
def test_nothing_to_do_here(tmp_path):
    done = subprocess.run(
        ['bash', ROOT / 'tools/setup_env.sh', '--tests'], cwd=tmp_path,
        env={**os.environ, **OFFLINE, 'PATH':
             f'{Path(sys.executable).parent}:{os.environ["PATH"]}'},
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.stderr == 'Everything is there.\n'
    assert done.stdout.strip() == sys.executable
