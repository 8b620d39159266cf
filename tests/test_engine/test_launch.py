# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmloc.engine import TargetScheduleHook, launch


@pytest.fixture
def config_file(tmp_path):
    file = tmp_path / 'some_name.py'
    file.write_text("optim_wrapper = dict(type='OptimWrapper', "
                    'optimizer=dict(lr=0.1))\nload_from = None\n')
    return file


@pytest.fixture
def cfg(config_file):
    return launch.load_config(str(config_file))


def test_options_replace_and_add(config_file):
    cfg = launch.load_config(
        str(config_file), {
            'optim_wrapper.optimizer.lr': 0.5,
            'optim_wrapper.accumulative_counts': 2,
            'randomness.seed': 3,
        })
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert cfg.optim_wrapper.accumulative_counts == 2
    assert cfg.randomness.seed == 3


def test_an_unread_option_is_refused(config_file):
    with pytest.raises(ValueError, match="did you mean 'optim_wrapper'"):
        launch.load_config(str(config_file), {'optim_wraper.optimizer': 1})


@pytest.mark.parametrize(('text', 'words'), [
    ("_base_ = './missing.py'", 'missing.py'),
    ("_base_ = 'mmdet::faster_rcnn/missing.py'", 'missing.py'),
    ('model = dict(', 'SyntaxError'),
    ('model = undefined', 'undefined'),
])
def test_an_unreadable_config_is_named(tmp_path, text, words):
    file = tmp_path / 'broken.py'
    file.write_text(text)
    with pytest.raises(ValueError, match=r'broken\.py.*be read') as info:
        launch.load_config(str(file))
    assert words in str(info.value)


def test_configs_of_packages_load():
    cfg = launch.load_config(
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    assert cfg.model.type == 'FasterRCNN'


def test_work_dir_flag_then_config_then_name(cfg):
    launch.set_work_dir(cfg, None)
    assert cfg.work_dir == 'work_dirs/some_name'
    cfg.work_dir = 'a'
    launch.set_work_dir(cfg, None)
    assert cfg.work_dir == 'a'
    launch.set_work_dir(cfg, 'b')
    assert cfg.work_dir == 'b'


def test_amp(cfg, monkeypatch):
    launch.set_amp(cfg, None)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='float16 needs a GPU'):
        launch.set_amp(cfg, 'float16')
    launch.set_amp(cfg, 'bfloat16')
    assert cfg.optim_wrapper.type == 'mmloc.AutocastOptimWrapper'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    launch.set_amp(cfg, 'float16')
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper', loss_scale='dynamic', optimizer=dict(lr=0.1))


def test_float16_of_a_config_needs_a_gpu(cfg, monkeypatch):
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match='the config trains in float16'):
        launch.set_amp(cfg, None)
    launch.set_amp(cfg, 'bfloat16')
    assert cfg.optim_wrapper.type == 'mmloc.AutocastOptimWrapper'
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    launch.set_amp(cfg, None)


def test_amp_bfloat16_is_refused_for_two_stage_detectors(cfg):
    cfg.model = dict(rpn_head=dict(type='RPNHead'))
    with pytest.raises(ValueError, match='lack bfloat16'):
        launch.set_amp(cfg, 'bfloat16')


def test_amp_leaves_special_wrappers(cfg):
    cfg.optim_wrapper.type = 'DeepSpeedOptimWrapper'
    with pytest.raises(ValueError, match='DeepSpeedOptimWrapper'):
        launch.set_amp(cfg, 'bfloat16')


def test_auto_scale_lr(cfg):
    with pytest.raises(ValueError, match='base_batch_size'):
        launch.set_auto_scale_lr(cfg)
    cfg.auto_scale_lr = dict(base_batch_size=16)
    launch.set_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr == dict(base_batch_size=16, enable=True)


def test_start_from_a_checkpoint(cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        launch.set_start(cfg, str(tmp_path / 'nowhere.pth'))
    launch.set_start(cfg, 'https://host/a.pth')  # met when it is loaded
    file = tmp_path / 'a.pth'
    torch.save({}, file)
    assert launch.set_start(cfg, str(file)) == ''
    assert cfg.load_from == str(file)
    assert not cfg.get('resume')
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r'a\.pth.* cannot be read'):
        launch.set_start(cfg, str(file))


def _save_state(path):
    torch.save(
        dict(state_dict={}, optimizer={}, message_hub={},
             meta=dict(epoch=3, iter=9)), path)


def test_resume_auto_needs_a_checkpoint_to_change_anything(cfg, tmp_path):
    cfg.work_dir = str(tmp_path)
    weights = tmp_path / 'pretrained.pth'
    torch.save({}, weights)
    cfg.load_from = str(weights)
    assert 'a new run starts' in launch.set_start(cfg, resume='auto')
    assert (cfg.load_from, cfg.resume) == (str(weights), False)

    newest = tmp_path / 'epoch_3.pth'
    _save_state(newest)
    (tmp_path / 'last_checkpoint').write_text(str(newest))
    assert 'epoch_3.pth' in launch.set_start(cfg, resume='auto')
    assert (cfg.load_from, cfg.resume) == (str(newest), True)

    (tmp_path / 'epoch_4.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_4.pth'))
    first, last = launch.set_start(cfg, resume='auto').splitlines()
    assert first.startswith('--resume: passed over: checkpoint')
    assert 'epoch_4.pth' in first
    assert last == f'--resume: continuing from {newest}'
    assert cfg.load_from == str(newest)


def test_resume_from_a_path(cfg, tmp_path):
    with pytest.raises(FileNotFoundError):
        launch.set_start(cfg, resume=str(tmp_path / 'none.pth'))
    file = tmp_path / 'epoch_1.pth'
    torch.save({}, file)
    with pytest.raises(ValueError, match=r'has no state_dict, .* --load-from'):
        launch.set_start(cfg, resume=str(file))
    _save_state(file)
    launch.set_start(cfg, resume=str(file))
    assert (cfg.load_from, cfg.resume) == (str(file), True)


def test_randomness_keeps_what_it_does_not_set(cfg):
    launch.set_randomness(cfg, None, False)
    assert cfg.randomness == dict(seed=None)
    cfg.randomness = dict(diff_rank_seed=True)
    launch.set_randomness(cfg, 5, True)
    assert cfg.randomness == dict(
        seed=5, deterministic=True, diff_rank_seed=True)


def test_require_names_what_is_missing(cfg):
    launch.require(cfg, 'optim_wrapper')
    with pytest.raises(ValueError, match='no test_dataloader'):
        launch.require(cfg, 'test_dataloader')


def test_show_dir(cfg):
    with pytest.raises(ValueError, match='visualization'):
        launch.set_show_dir(cfg, 'images')
    cfg.default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
    launch.set_show_dir(cfg, 'images')
    assert cfg.default_hooks.visualization.test_out_dir == 'images'
    assert cfg.default_hooks.visualization.draw is True


def test_a_wrong_setting_is_about_the_config(tmp_path):
    cfg = Config(
        dict(model=dict(type='NoSuchModel'), work_dir=str(tmp_path),
             default_scope='mmdet'))
    with pytest.raises(ValueError, match='NoSuchModel is not in'):
        launch.build_runner(cfg, 'train')


def _small_data(folder, num_images, batch_size=4, sampler='DefaultSampler',
                **train_cfg):
    """A config that needs whole batches."""
    folder.mkdir()
    for i in range(num_images):
        cv2.imwrite(str(folder / f'{i}.png'), np.zeros((8, 8, 3), np.uint8))
    return Config(
        dict(
            model=dict(type='BaseDataPreprocessor'),
            work_dir=str(folder / 'run'), experiment_name=str(folder),
            default_scope='mmdet', train_cfg=train_cfg,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_dataloader=dict(
                batch_size=batch_size, num_workers=0, drop_last=True,
                sampler=dict(type=sampler), dataset=dict(
                    type='mmloc.UnlabeledImageDataset', lazy_init=False,
                    data_root=str(folder), data_prefix=dict(img=''),
                    pipeline=[]))))


@pytest.mark.parametrize('train_cfg', [
    dict(by_epoch=True, max_epochs=1),
    dict(by_epoch=False, max_iters=1),
], ids=['epochs', 'iterations'])
def test_fewer_images_than_a_batch_are_refused(tmp_path, train_cfg):
    cfg = _small_data(tmp_path / 'images', 3, **train_cfg)
    with pytest.raises(ValueError, match=r'has 3 images, .* of 4 images in '
                       r'each process \(1 in all\); add images, lower'):
        launch.build_runner(cfg, 'train')


def test_an_endless_sampler_fills_a_batch_from_few_images(tmp_path):
    cfg = _small_data(tmp_path / 'images', 3, sampler='InfiniteSampler',
                      by_epoch=False, max_iters=1)
    runner = launch.build_runner(cfg, 'train')
    assert len(runner.train_loop.dataloader) == 0
    assert len(next(runner.train_loop.dataloader_iterator)['img_path']) == 4


@pytest.mark.parametrize('custom_hooks', [
    [], [dict(type='mmloc.TargetScheduleHook')]], ids=['absent', 'there'])
def test_momentum_targets_are_looked_after(tmp_path, custom_hooks):
    cfg = _small_data(tmp_path / 'images', 4, by_epoch=True, max_epochs=1)
    cfg.custom_hooks = custom_hooks
    hooks = launch.build_runner(cfg, 'train').hooks
    assert [type(hook) for hook in hooks].count(TargetScheduleHook) == 1
