# Copyright (c) mmloc contributors. All rights reserved.
"""Flat batches of real pipelines, through real loaders."""
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import BaseBoxes
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, FUNCTIONS, MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmloc.datasets import flat_collate
from mmloc.datasets.toy_scene import draw_scene
from mmloc.engine.batches import data_samples_of, img_paths_of
from mmloc.proposals import write_proposals
from mmloc.utils.flat_batch import FlatBatch

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = [
    'soco/soco_r18_fpn_toy', 'soco/soco-star_r18_fpn_toy',
    'soco/soco_r18_c4_toy', 'insloc/insloc_r18_fpn_toy'
]
NUM = 7


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A folder of toy scenes and their proposals."""
    folder = tmp_path_factory.mktemp('toy')
    rng = np.random.default_rng(0)
    proposals = []
    for i in range(NUM):
        cv2.imwrite(str(folder / f'{i}.png'), draw_scene(rng, 128).image)
        corner = rng.integers(0, 60, (6, 2))
        boxes = np.concatenate([corner, corner + 60], 1)
        proposals.append((f'{i}.png', 128, 128, boxes.astype(np.float32)))
    write_proposals(str(folder / 'toy.mmprop'), proposals, {})
    return folder


def load(name, images, **loader):
    """A shipped config on these images."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.train_dataloader.update(
        batch_size=4, num_workers=0, persistent_workers=False, **loader)
    source = cfg.train_dataloader.dataset
    while 'dataset' in source:
        source = source.dataset
    source.update(data_root=str(images), data_prefix=dict(img=''))
    for step in source.pipeline:
        if step.type == 'mmloc.LoadProposals':
            step.proposal_file = str(images / 'toy.mmprop')
    return cfg


def loader_of(cfg, **changes):
    return Runner.build_dataloader(cfg.train_dataloader | changes, seed=0)


def same(a, b, strides=False):
    """Compare whatever a batch holds, down to types."""
    if isinstance(a, BaseDataElement):
        assert type(a) is type(b)
        same(a.to_dict(), b.to_dict(), strides)
        same(a.metainfo, b.metainfo, strides)
    elif isinstance(a, BaseBoxes):
        assert type(a) is type(b)
        same(a.tensor, b.tensor, strides)
    elif isinstance(a, dict):
        assert set(a) == set(b)
        for key, value in a.items():
            same(value, b[key], strides)
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y, strides)
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
        assert not strides or a.stride() == b.stride()
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize('name', NAMES)
def test_equals_pseudo_collate(name, images):
    cfg = load(name, images)
    assert FUNCTIONS.get(cfg.train_dataloader.collate_fn.type) is flat_collate
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i] for i in range(4)]
    expected, batch = pseudo_collate(samples), flat_collate(samples)
    same(expected, dict(batch.unpack()), strides=True)
    same(expected, dict(batch), strides=True)
    assert img_paths_of(batch) == img_paths_of(expected)


@pytest.mark.parametrize('name', NAMES)
def test_is_preprocessed_alike(name, images):
    cfg = load(name, images)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i] for i in range(4)]
    ours = MODELS.build(cfg.model.data_preprocessor)
    theirs = MODELS.build(
        dict(cfg.model.data_preprocessor, type='MultiBranchDataPreprocessor'))
    expected = theirs(pseudo_collate(samples), True)
    batch = flat_collate(samples)
    same(expected, ours(batch, True))
    assert not batch.opened
    same(expected, ours(pseudo_collate(samples), True))
    # The batch is as it was, and so can be used once more.
    same(pseudo_collate(samples), dict(batch))
    same(expected, theirs(flat_collate(samples), True))


def test_what_a_hook_has_changed_is_trained_on(images):
    cfg = load(NAMES[0], images)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i] for i in range(4)]
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    unchanged = preprocess(pseudo_collate(samples), True)
    outputs = []
    for collate in (pseudo_collate, flat_collate):
        batch = collate(samples)
        batch['inputs']['view1'] = batch['inputs']['view1'][::-1]
        outputs.append(preprocess(batch, True))
    same(*outputs)
    assert not torch.equal(unchanged['inputs']['view1'],
                           outputs[1]['inputs']['view1'])


@pytest.mark.parametrize('workers', [
    dict(num_workers=0),
    dict(num_workers=2, persistent_workers=True),
    pytest.param(
        dict(num_workers=1, multiprocessing_context='spawn'),
        marks=pytest.mark.slow),
])
def test_comes_through_a_loader(workers, images):
    """Of seven images, the last batch has but three."""
    cfg = load(NAMES[0], images)
    dataset = loader_of(cfg).dataset
    loader = loader_of(cfg, drop_last=False, **workers)
    expected = loader_of(
        cfg, drop_last=False, **dict(
            workers, collate_fn=dict(type='pseudo_collate')))
    assert len(dataset) == NUM
    for epoch in range(2):
        batches = []
        for source in (expected, loader):
            np.random.seed(epoch)
            torch.manual_seed(epoch)
            batches.append(list(source))
        batches = list(zip(*batches))
        assert [len(x['inputs']['view1']) for _, x in batches] == [4, 3]
        for want, batch in batches:
            assert type(batch) is FlatBatch
            same(want, dict(batch), strides=True)
            assert batch.buffer.is_shared() == (workers['num_workers'] > 0)


@pytest.mark.skipif(
    not os.path.isdir('/proc/self/fd'), reason='counts files by /proc')
def test_takes_one_file_of_a_worker(images):
    """Where pseudo_collate takes one for each tensor."""
    cfg = load(NAMES[0], images)
    counts = {}
    for name in ('mmloc.flat_collate', 'pseudo_collate'):
        batches = iter(
            loader_of(cfg, num_workers=1, collate_fn=dict(type=name)))
        before = len(os.listdir('/proc/self/fd'))
        batch = next(batches)
        counts[name] = len(os.listdir('/proc/self/fd')) - before
        del batch, batches
    assert counts['mmloc.flat_collate'] <= 4  # and what else is under way
    assert counts['pseudo_collate'] > 4 * 8


def test_is_found_by_configs_of_other_projects(tmp_path):
    config = tmp_path / 'theirs.py'
    config.write_text(
        "_base_ = 'mmloc::insloc/insloc_r18_fpn_toy.py'\n"
        "default_scope = 'mmdet'\n")
    cfg = Config.fromfile(config).train_dataloader
    assert '_scope_' in cfg.collate_fn
    samples = [dict(inputs=torch.ones(2))]
    loader = Runner.build_dataloader(
        dict(cfg, dataset=samples, batch_size=1, num_workers=0,
             persistent_workers=False,
             sampler=dict(type='DefaultSampler', shuffle=False)))
    assert next(iter(loader))['inputs'][0].tolist() == [1, 1]


def test_samples_that_are_no_dicts_are_refused():
    with pytest.raises(TypeError, match='of type list, expected a dict'):
        flat_collate([(torch.ones(2), 1)] * 3)


def test_samples_that_differ_are_refused():
    samples = [dict(inputs=dict(a=torch.ones(2), b=torch.ones(2))),
               dict(inputs=dict(a=torch.ones(2)))]
    with pytest.raises(ValueError, match="lacks the key 'b'"):
        flat_collate(samples)


@pytest.mark.parametrize('collate', [pseudo_collate, flat_collate])
@pytest.mark.parametrize(('change', 'sentence'), [
    (dict(inputs=torch.ones(3, 2, 2)), "'inputs' of the batch is a list"),
    (dict(note=1), "'note' of the batch is a list, expected a dict"),
    (dict(note=dict(key=1)), r"'note' of the batch is \['key'\]"),
])
def test_batches_without_views_are_refused(images, collate, change, sentence):
    cfg = load(NAMES[0], images)
    sample = DATASETS.build(cfg.train_dataloader.dataset)[0]
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    with pytest.raises(ValueError, match=sentence):
        preprocess(collate([dict(sample, **change)] * 2), True)
    # What the inner one does not give back is left out, as by mmdet.
    more = dict(sample, note=dict.fromkeys(sample['inputs'], 1))
    same(preprocess(collate([sample] * 2), True),
         {key: value for key, value in preprocess(
             collate([more] * 2), True).items() if key != 'note'})


def test_batches_that_tell_nothing_stay_packed(images):
    cfg = load(NAMES[0], images)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i] for i in range(2)]
    batch = flat_collate(samples)
    assert data_samples_of(batch, 'unreadable') == []
    assert not batch.opened
    samples[1]['data_samples']['view1'].set_metainfo(
        dict(unreadable=[('x.jpg', 'is cut off')]))
    assert any('unreadable' in x
               for x in data_samples_of(flat_collate(samples), 'unreadable'))
