# Copyright (c) mmloc contributors. All rights reserved.
"""The cells of a study of starts on fewer and fewer labels."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmloc.engine import label_study
from mmloc.engine.label_study import Cell

PLAIN = ''.join(f'{key} = dict()\n' for key in (
    'model', 'optim_wrapper', 'train_cfg', 'train_dataloader',
    'val_dataloader', 'val_evaluator'))


def by_epoch():
    """4 epochs of 20 iterations on 40 images."""
    return Config(dict(
        train_dataloader=dict(batch_size=2, dataset=dict(type='Whole')),
        train_cfg=dict(max_epochs=4, val_interval=1, dynamic_intervals=[1]),
        param_scheduler=[
            dict(type='LinearLR', by_epoch=False, begin=0, end=12),
            dict(type='MultiStepLR', begin=0, end=4, milestones=[2, 3])],
        default_hooks=dict(checkpoint=dict(interval=1, save_best='auto'))))


def by_iter():
    """As many iterations, in the other way to count."""
    return Config(dict(
        train_dataloader=dict(batch_size=2, dataset=dict(type='Whole')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=80,
                       val_interval=10),
        param_scheduler=[
            dict(type='LinearLR', by_epoch=False, begin=0, end=12),
            dict(type='MultiStepLR', by_epoch=False, begin=0, end=80,
                 milestones=[40, 60]),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=40, end=80,
                 T_max=40)]))


@pytest.mark.parametrize(('images', 'least', 'iters', 'epochs', 'steps'), [
    (40, 0, 80, 4, [2, 3]),
    (10, 0, 20, 4, [2, 3]),  # the same epochs
    (10, None, 20, 4, [2, 3]),  # a quarter of 80
    (4, None, 20, 10, [5, 8]),
    (4, 80, 80, 40, [20, 30]),  # the same iterations
    (3, 31, 32, 16, [8, 12]),  # the last batch is not full
])
def test_few_labels_are_trained_on_for_as_many_epochs_or_iterations(
        images, least, iters, epochs, steps):
    cfg = by_epoch()
    assert label_study.set_length(cfg, 40, images, least) == iters
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == epochs
    warm_up, main = cfg.param_scheduler
    assert warm_up.end == min(12, iters // 5)
    assert (main.end, main.milestones) == (epochs, steps)
    # No choice by the evaluation.
    assert 'save_best' not in cfg.default_hooks.checkpoint
    assert 'dynamic_intervals' not in cfg.train_cfg


@pytest.mark.parametrize(('images', 'least', 'iters'), [
    (40, None, 80), (20, 0, 40), (4, 0, 8), (4, None, 20), (4, 80, 80)])
def test_a_schedule_in_iterations_keeps_its_shape(images, least, iters):
    cfg = by_iter()
    assert label_study.set_length(cfg, 40, images, least) == iters
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == iters
    warm_up, steps, cosine = cfg.param_scheduler
    assert warm_up.end == max(1, min(12, iters // 5))
    assert steps.milestones == [iters // 2, iters * 3 // 4]
    assert (cosine.begin, cosine.end, cosine.T_max) == (
        iters // 2, iters, iters // 2)
    assert not cfg.default_hooks.checkpoint.by_epoch


def test_more_iterations_than_on_all_labels_are_refused():
    with pytest.raises(ValueError, match=r'at least 81 .* has 80 on all 40'):
        label_study.set_length(by_epoch(), 40, 4, 81)


def test_cells_of_a_seed_share_their_images(tmp_path):
    order = tmp_path / 'order.txt'
    label_study.write_order(order, 40, 7)
    whole = by_epoch()
    for images in (4, 10):
        cfg, _ = label_study.make_cell(
            whole, Cell('a', images, 7), 40, order, None)
        assert cfg.train_dataloader.dataset == dict(
            type='mmloc.LabelSubset', dataset=dict(type='Whole'), num=images,
            order=str(order))
    assert whole.train_dataloader.dataset == dict(type='Whole')
    assert sorted(np.loadtxt(order, int)) == list(range(40))
    label_study.write_order(order, 40, 8)  # is left alone
    assert (np.loadtxt(order, int)
            == np.random.RandomState(7).permutation(40)).all()


def test_numbers_of_images():
    assert label_study.count_images([1, 0.1, 0.11, 0.5], 30) == [3, 15, 30]
    for fraction in (0.01, 1.5):
        with pytest.raises(ValueError, match=f'{fraction} of 30 labelled'):
            label_study.count_images([fraction], 30)


def test_starts_of_a_config_that_is_no_protocol(tmp_path):
    config, weights = tmp_path / 'plain.py', tmp_path / 'weights.pth'
    config.write_text(PLAIN + "load_from = 'elsewhere.pth'\n")
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), weights)
    configs = label_study.load_starts(
        str(config), ['scratch', f'mine={weights}'], dict(model=dict(x=1)))
    assert [c.load_from for c in configs.values()] == [None, str(weights)]
    assert list(configs) == ['scratch', 'mine']
    assert configs['mine'].model == dict(x=1)
    for specs, words in (([f'mine={weights}'] * 2, 'called mine'),
                         (['soco_fpn'], 'soco_fpn=CHECKPOINT')):
        with pytest.raises(ValueError, match=words):
            label_study.load_starts(str(config), specs, None)


def test_a_start_of_a_protocol_with_other_weights(tmp_path):
    config, weights = tmp_path / 'protocol.py', tmp_path / 'weights.pth'
    config.write_text(PLAIN + "start_family = 'fpn'\n")
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), weights)
    name, cfg = label_study.load_start(str(config), f'soco_fpn={weights}',
                                       None)
    assert (name, cfg.load_from) == ('soco_fpn', str(weights))
    assert cfg.optim_wrapper.optimizer.weight_decay == 2.5e-5
