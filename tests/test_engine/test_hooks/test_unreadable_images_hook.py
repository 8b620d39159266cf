# Copyright (c) mmloc contributors. All rights reserved.
import os

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import DataLoader

from mmloc.datasets import MixImagesDataset, UnlabeledImageDataset
from mmloc.engine import Runner
from mmloc.engine.hooks import UnreadableImagesHook

PACK = dict(type='mmloc.PackRegionInputs')


class _Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples, mode='tensor'):
        return dict(loss=self.weight.sum())


@pytest.fixture
def images(tmp_path):
    """16 images, of which every fourth is unreadable in a way of its own."""
    folder = tmp_path / 'images'
    folder.mkdir()
    data = cv2.imencode('.png', np.full((9, 9, 3), 7, np.uint8))[1].tobytes()
    bad = {3: b'', 7: b'text', 11: data[:len(data) // 2]}
    for i in range(16):
        (folder / f'{i:02d}.png').write_bytes(bad.get(i, data))
    (folder / '15.png').unlink()
    (folder / '15.png').symlink_to('nowhere.png')
    return str(folder)


def _source(images, mixed=False, **kwargs):
    load = dict(type='mmloc.LoadImage')
    source = UnlabeledImageDataset(
        data_root=images, on_corrupt='skip',
        pipeline=[load] if mixed else [load, PACK], **kwargs)
    return MixImagesDataset(source, [PACK]) if mixed else source


def _train(tmp_path, dataset, sampler=None, epochs=2, **loader):
    hook = UnreadableImagesHook(interval=3)
    runner = Runner(
        model=_Model(), work_dir=str(tmp_path), experiment_name=tmp_path.name,
        train_dataloader=DataLoader(
            dataset, batch_size=2, collate_fn=pseudo_collate, sampler=sampler,
            **loader),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        default_hooks=dict(checkpoint=None),
        launcher='pytorch' if dist.is_initialized() else 'none',
        randomness=dict(seed=0),
        custom_hooks=[hook])
    try:
        runner.train()
    finally:
        # Else garbage collection waits 5 s for each of them.
        iterator = runner.train_loop.dataloader._iterator
        if hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()
    return hook


def _listed(tmp_path):
    file, = tmp_path.glob('*/unreadable_images.txt')
    pairs = [line.split('\t') for line in file.read_text().splitlines()]
    return {path[-6:-4]: reason for path, reason in pairs}, len(pairs)


def _check(tmp_path):
    reasons, num = _listed(tmp_path)
    damaged = 'is damaged, truncated or not an image that OpenCV can decode'
    assert reasons == {'03': 'is empty (0 bytes)', '07': damaged,
                       '11': damaged, '15': 'does not exist'}
    assert num == 4


@pytest.mark.parametrize('mixed', [False, True])
def test_workers_report_each_file_once(tmp_path, images, mixed):
    dataset = _source(images, mixed, max_corrupt=0.25)
    # New workers in each epoch find the files anew.
    hook = _train(tmp_path, dataset, epochs=3, num_workers=2)
    assert len(hook.images) == 4
    _check(tmp_path)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'By the end of epoch 3, 4 of 16 images could not be read' in log
    assert "03.png' is empty (0 bytes)" in log


def test_stops_at_the_limit(tmp_path, images):
    # Each worker begins with two bad files, and meets three at most.
    order = [3, 7, 11, 15, 0, 1, 2, 4]
    with pytest.raises(RuntimeError, match=(
            r'^4 of the 16 images could not be read, expected 3 at most '
            r'\(max_corrupt=3\), the last being .*/\d\d.png')):
        _train(tmp_path, _source(images, max_corrupt=3), order, num_workers=2,
               persistent_workers=True)
    _check(tmp_path)


def test_other_data_are_left_alone(tmp_path):
    data = [dict(inputs=torch.zeros(1), data_samples=0)] * 4
    assert _train(tmp_path, data).images is None


def test_a_list_that_cannot_be_written_is_no_reason_to_stop(
        tmp_path, images, monkeypatch):
    monkeypatch.setattr(UnreadableImagesHook, '_list_file',
                        lambda *_: tmp_path / 'none' / 'list.txt')
    hook = _train(tmp_path, _source(images, max_corrupt=4))
    assert len(hook.images) == 4
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'The list of them cannot be written' in log


def test_wrong_arguments():
    with pytest.raises(ValueError, match='interval is 0'):
        UnreadableImagesHook(interval=0)


def _rank(rank, tmp_path, images):
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    dist.init_process_group(
        'gloo', f'file://{tmp_path}/rendezvous', rank=rank, world_size=2)

    def train(name, max_corrupt, **loader):
        # A half for each rank, with two bad files in each.
        return _train(
            tmp_path / name, _source(images, max_corrupt=max_corrupt),
            range(8 * rank, 8 * rank + 8), epochs=1, **loader)

    # Rank 1 has a worker that starts with an empty memory.
    spawn = dict(num_workers=1, multiprocessing_context='spawn')
    assert len(train('all', 4, **spawn if rank else {}).images) == 4
    # Neither rank by itself has met more than three.
    with pytest.raises(RuntimeError, match='4 of the 16 images could not'):
        train('limit', 3)
    dist.destroy_process_group()


@pytest.mark.slow
def test_ranks_and_spawned_workers_share_their_news(tmp_path, images):
    mp.spawn(_rank, args=(tmp_path, images), nprocs=2)
    _check(tmp_path / 'all')
