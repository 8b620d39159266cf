# Copyright (c) mmloc contributors. All rights reserved.
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mmloc  # noqa: F401  lets torch read mmengine's checkpoints

ROOT = Path(__file__).resolve().parents[2]


# Starts the tasks of a job on this machine, as if each had a node of its own.
SRUN = """#!/usr/bin/env bash
while [[ $1 == -* ]]; do
    case $1 in
        -p) shift ;;
        --ntasks=*) tasks=${1#*=} ;;
    esac
    shift
done
export SLURM_NTASKS=$tasks SLURM_NODELIST='node[0-1]' SLURM_LOCALID=0
pids=()
for ((i = 0; i < tasks; i++)); do
    SLURM_PROCID=$i "$@" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit; done
"""
SCONTROL = '#!/bin/sh\n[ "$*" = "show hostnames node[0-1]" ] && echo localhost'


def _port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def _start(how, config, work_dir, flags, folder):
    """Start two processes by one of the scripts; return what they print."""
    script, head, tail = 'dist_train.sh', [config], ['--work-dir', work_dir]
    env = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1')
    if how == 'slurm':
        script, head, tail = 'slurm_train.sh', ['part', 'job', config], []
        head.append(work_dir)
        for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        settings = [dict(
            PATH=f'{folder}:{env["PATH"]}', GPUS='2', MASTER_PORT=_port())]
    elif how == 'one machine':
        head.append('2')
        settings = [dict(PORT=_port())]
    else:
        head.append('1')
        port = _port()
        settings = [dict(NNODES='2', NODE_RANK=str(rank), PORT=port,
                         MASTER_ADDR='127.0.0.1') for rank in range(2)]
    started = [
        subprocess.Popen(
            ['bash', ROOT / 'tools' / script, *head, *tail, *flags],
            cwd=folder, text=True, env=env | setting,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for setting in settings
    ]
    outputs = [process.communicate(timeout=300) for process in started]
    for process, (_, errors) in zip(started, outputs):
        assert process.returncode == 0, errors
    return ''.join(out for out, _ in outputs)


@pytest.mark.slow
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='is about machines without a GPU')
@pytest.mark.parametrize('how', ['one machine', 'two machines', 'slurm'])
def test_insloc_trains_in_two_processes_on_cpus(how, tiny_coco, tmp_path):
    config = tmp_path / 'insloc.py'
    base = ROOT / 'configs/insloc/insloc_r18_fpn_toy.py'
    config.write_text(f"""
_base_ = {str(base)!r}
model = dict(backbone=dict(norm_cfg=dict(type='SyncBN')),
             head=dict(queue=dict(length=24)))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(dataset=dict(
        data_root={str(tiny_coco)!r}, data_prefix=dict(img='images'))))
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
env_cfg = dict(dist_cfg=dict(backend='nccl'))
""")
    work_dir = tmp_path / 'run'
    said = _start(how, config, work_dir,
                  ['--seed', '0', '--cfg-options', 'log_level=DEBUG'],
                  tmp_path)
    assert 'No GPU is visible: the processes talk by gloo' in said

    # 8 images, 2 processes, batches of 2.
    scalars, = work_dir.glob('*/vis_data/scalars.json')
    losses = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert [line['iter'] for line in losses] == [1, 2]
    assert all(0 < line['loss'] < 100 for line in losses)
    # At level DEBUG each rank writes a log of its own.
    logs = sorted(work_dir.glob('*/*rank*.log'))
    assert [log.stem[-5:] for log in logs] == ['rank0', 'rank1']
    for log in logs:
        assert 'Epoch(train) [1][2/2]' in log.read_text()

    saved = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    state = saved['state_dict']
    assert saved['meta']['iter'] == 2
    assert not any(name.startswith('module.') for name in state)
    assert int(state['target.steps']) == 2
    # 2 iterations of 2 processes with 2 keys each.
    assert int(state['head.queue.pointer']) == 8
