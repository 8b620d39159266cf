# Copyright (c) mmloc contributors. All rights reserved.
"""The shell scripts, down to the program that they start."""
import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def _run(script, *args, cwd=None, **env):
    return subprocess.run(
        ['bash', TOOLS / script, *args], cwd=cwd, capture_output=True,
        text=True, check=False, env=dict(os.environ, **env))


@pytest.fixture
def echo(tmp_path):
    """A folder with programs that print their own name and arguments."""
    for name in ('srun', 'python'):
        program = tmp_path / 'bin' / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@"\n')
        program.chmod(0o755)
    return dict(
        PATH=f'{tmp_path / "bin"}:{os.environ["PATH"]}', PYTHON='python')


@pytest.mark.parametrize('script', [
    'dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'
])
def test_too_few_arguments_show_the_usage(script):
    done = _run(script, 'config.py')
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')


@pytest.mark.parametrize(('script', 'args'), [
    ('dist_train.sh', ['my config.py']),
    ('dist_test.sh', ['my config.py', 'a.pth']),
])
def test_torchrun_gets_machines_and_flags(script, args, echo, tmp_path):
    done = _run(script, *args, '4', '--cfg-options', 'a=[1, 2]',
                cwd=tmp_path, NNODES='2', NODE_RANK='1',
                MASTER_ADDR='10.0.0.1', PORT='1234', **echo)
    words = done.stdout.splitlines()
    assert words[:3] == ['python', '-m', 'torch.distributed.run']
    assert {'--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.1',
            '--master_port=1234', '--nproc_per_node=4'} <= set(words)
    program = TOOLS / script.removeprefix('dist_').replace('.sh', '.py')
    start = words.index(str(program))
    # Or --start would be torchrun's --start-method, abbreviated.
    assert words[start - 1] == '--'
    assert words[start + 1:] == [
        *args, '--launcher', 'pytorch', '--cfg-options', 'a=[1, 2]'
    ]


@pytest.mark.parametrize(('script', 'args', 'passed'), [
    ('slurm_train.sh', ['config.py', 'my dir'],
     ['config.py', '--work-dir', 'my dir']),
    ('slurm_test.sh', ['config.py', 'a.pth'], ['config.py', 'a.pth']),
])
def test_srun_gets_tasks_and_flags(script, args, passed, echo, tmp_path):
    done = _run(script, 'part', 'job', *args, '--cfg-options', 'a=1',
                cwd=tmp_path, GPUS='4', SRUN_ARGS='--time 1', **echo)
    words = done.stdout.splitlines()
    assert words[:3] == ['srun', '-p', 'part']
    assert {'--job-name=job', '--gres=gpu:4', '--ntasks=4',
            '--ntasks-per-node=4', '--time', '1'} <= set(words)
    program = TOOLS / script.removeprefix('slurm_').replace('.sh', '.py')
    start = words.index(str(program))
    assert words[start + 1:] == [
        *passed, '--launcher', 'slurm', '--cfg-options', 'a=1'
    ]
