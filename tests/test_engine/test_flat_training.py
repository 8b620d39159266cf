# Copyright (c) mmloc contributors. All rights reserved.
"""A training on flat batches is the training on plain ones, bit for bit."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmloc.engine import launch
from mmloc.proposals import write_proposals
from mmloc.utils.flat_batch import FlatBatch

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PLAIN = dict(
    collate_fn=dict(type='pseudo_collate'),
    preprocessor='MultiBranchDataPreprocessor')


class Seen(Hook):
    """Note how the batches came and whether somebody has looked inside."""

    def __init__(self):
        self.kinds, self.opened = set(), set()

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.kinds.add(type(data_batch))
        self.opened.add(getattr(data_batch, 'opened', None))


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('noise')
    rng = np.random.default_rng(0)
    boxes = np.float32([[2, 3, 30, 35], [8, 4, 40, 36], [20, 2, 50, 30]])
    for i in range(8):
        cv2.imwrite(
            str(folder / f'{i}.png'),
            rng.integers(0, 256, (40, 56, 3), np.uint8))
    write_proposals(
        str(folder / 'p.mmprop'),
        [(f'{i}.png', 56, 40, boxes) for i in range(8)], {})
    return folder


def small(method, images):
    """The toy config, with views of a few pixels."""
    cfg = Config.fromfile(CONFIGS / method / f'{method}_r18_fpn_toy.py')
    data = dict(data_root=str(images), data_prefix=dict(img=''))
    dataset = cfg.train_dataloader.dataset
    if method == 'insloc':
        dataset.dataset.update(data)
        for branch in ('query', 'key'):
            dataset.pipeline[0][branch][0].update(
                canvas=(32, 32), width_range=(12, 30))
        cfg.model.head.queue.length = 7
        cfg.model.bn_splits = 2
    else:
        dataset.update(data)
        dataset.pipeline[1].proposal_file = str(images / 'p.mmprop')
        views = dataset.pipeline[-1].views
        for view, scale in dict(view1=(48, 48), view2=48, view3=32).items():
            views[view].transforms[0].scale = scale
        cfg.model.head.thresholds = (12, 24, 36, 48)
    return cfg


def train(method, images, work_dir, workers, resume_from=None, plain=False):
    """Train on 8 images by 4, for two epochs of two iterations."""
    cfg = small(method, images)
    cfg.train_dataloader.update(
        batch_size=4, num_workers=workers, persistent_workers=workers > 0)
    if plain:
        cfg.train_dataloader.collate_fn = dict(type='pseudo_collate')
        cfg.model.data_preprocessor.type = 'MultiBranchDataPreprocessor'
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.checkpoint.max_keep_ckpts = 2
    cfg.work_dir = str(work_dir)
    cfg.load_from, cfg.resume = resume_from, resume_from is not None
    cfg.randomness = dict(seed=1)
    cfg.experiment_name = f'{method}_{work_dir.name}'
    launch.set_amp(cfg, None)
    runner = launch.build_runner(cfg, 'train')
    seen = Seen()
    runner.register_hook(seen)
    runner.train()
    # Stop persistent workers now, not when the interpreter ends.
    runner.train_loop.dataloader._iterator = None
    return runner.model.state_dict(), seen


@pytest.mark.parametrize(('method', 'workers'), [
    ('insloc', 1), pytest.param('soco', 0, marks=pytest.mark.slow)])
def test_training(method, workers, images, tmp_path):
    plain, seen = train(
        method, images, tmp_path / 'plain', workers, plain=True)
    assert seen.kinds == {dict}
    flat, seen = train(method, images, tmp_path / 'flat', workers)
    assert seen.kinds == {FlatBatch}
    # None of the hooks that are always there unpacks a batch once more.
    assert seen.opened == {False}
    checkpoint = str(tmp_path / 'flat' / 'epoch_1.pth')
    resumed, _ = train(
        method, images, tmp_path / 'resumed', workers, checkpoint)
    early = torch.load(checkpoint)['state_dict']
    assert plain.keys() == flat.keys() == resumed.keys()
    for name, value in plain.items():
        assert torch.equal(flat[name], value), name
        assert torch.equal(resumed[name], value), name
    assert any(not torch.equal(early[name], plain[name]) for name in plain)
