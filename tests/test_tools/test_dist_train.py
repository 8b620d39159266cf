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


@pytest.mark.slow
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='is about machines without a GPU')
def test_insloc_trains_in_two_processes_on_cpus(tiny_coco, tmp_path):
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
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        ['bash', ROOT / 'tools/dist_train.sh', config, '2', '--work-dir',
         work_dir, '--seed', '0', '--cfg-options', 'log_level=DEBUG'],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=dict(os.environ, PYTHON=sys.executable, PORT=str(port),
                 OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr
    assert 'No GPU is visible: the processes talk by gloo' in done.stdout

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
