# Copyright (c) mmloc contributors. All rights reserved.
import pytest

from mmloc.engine import launch
from mmloc.engine.starts import (
    STARTS,
    departures,
    describe_start,
    shipped_starts,
)


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        file = tmp_path / f'{name}.py'
        file.write_text(text)
        return str(file)
    return write


@pytest.fixture
def protocol(write):
    return write('protocol', """
start_family = 'fpn'
model = dict(type='FasterRCNN', backbone=dict(style='pytorch', depth=18))
optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=1e-4))
load_from = None
""")


@pytest.fixture
def start(write):
    return write('mine', """
start = dict(
    name='mine',
    fpn=dict(
        model=dict(backbone=dict(style='caffe')),
        optim_wrapper=dict(optimizer=dict(weight_decay=0.)),
        load_from='pre.pth'),
    dense=dict(load_from='pre.pth'))
""")


def test_a_start_changes_what_it_says_and_options_come_last(protocol, start):
    cfg = launch.load_config(protocol, start=start)
    assert cfg.model == dict(
        type='FasterRCNN', backbone=dict(style='caffe', depth=18))
    assert cfg.optim_wrapper.optimizer == dict(lr=0.1, weight_decay=0.)
    assert cfg.load_from == 'pre.pth'
    assert cfg.start.name == 'mine'
    cfg = launch.load_config(
        protocol, {'load_from': 'other.pth'}, start=start)
    assert cfg.load_from == 'other.pth'
    assert launch.load_config(protocol).load_from is None


def test_the_log_says_what_training_begins_from(protocol, start):
    cfg = launch.load_config(protocol)
    assert describe_start(cfg) == (
        "Start 'scratch' of a protocol of family 'fpn', weights: new.")
    cfg = launch.load_config(protocol, start=start)
    assert "Start 'mine'" in describe_start(cfg)
    assert 'weights: pre.pth.' in describe_start(cfg)
    for init_cfg in (dict(type='Pretrained', checkpoint='a.pth'),
                     [dict(type='Pretrained', checkpoint='a.pth')]):
        cfg.model.backbone.init_cfg = init_cfg
        assert 'weights: a.pth, pre.pth.' in describe_start(cfg)


def test_shipped_starts_are_found_by_name():
    assert {'scratch', 'supervised', 'insloc_fpn', 'soco_c4'} <= {
        *shipped_starts()}
    assert (STARTS / 'scratch.py').is_file()


@pytest.mark.parametrize(('name', 'words'), [
    ('insloc_fnp', r"did you mean 'insloc_fpn'\?.*byol.*supervised_msra"),
    ('resnet', r"start 'resnet' is neither a file nor .* There are byol, "),
])
def test_an_unknown_start_lists_those_that_are(protocol, name, words):
    with pytest.raises(ValueError, match=words):
        launch.load_config(protocol, start=name)


def test_starts_are_for_protocols(write, start):
    pretraining = write('pretraining', "model = dict(type='mmloc.InsLoc')")
    with pytest.raises(ValueError, match=r'is for pretraining.*--load-from'):
        launch.load_config(pretraining, start=start)
    detector = write('detector', "model = dict(type='FasterRCNN')")
    with pytest.raises(ValueError, match=r'no start_family.*configs/transfer'):
        launch.load_config(detector, start=start)


def test_a_start_must_have_the_family(protocol, start, write):
    c4 = write('c4', "start_family = 'c4'")
    with pytest.raises(ValueError, match="family 'c4', only for fpn, dense"):
        launch.load_config(c4, start=start)
    with pytest.raises(ValueError, match=r'defines no start; write start ='):
        launch.load_config(protocol, start=protocol)


def test_a_start_says_something_for_a_family(protocol, write):
    odd = write('odd', "start = dict(name='odd', fpn='pre.pth')")
    with pytest.raises(ValueError, match=r"has 'pre.pth' for .*expected dict"):
        launch.load_config(protocol, start=odd)


def test_a_base_alone_is_no_start(protocol, start, write):
    bases = f'_base_ = [{protocol!r}, {start!r}]'
    pinned = write('pinned', bases)
    with pytest.raises(ValueError, match=r"'mine'.* not 'pre.pth'; write "):
        launch.load_config(pinned)
    launch.load_config(pinned, {'load_from': 'other.pth'})
    assert not departures(launch.load_config(pinned, start=start))
    lines = bases + '\nload_from = _base_.start.fpn.load_from'
    cfg = launch.load_config(write('weights', lines))
    assert departures(cfg) == ['model.backbone.style']
    lines += '\nmodel = _base_.start.fpn.model'
    assert not departures(launch.load_config(write('whole', lines)))
    assert not departures(launch.load_config(protocol))


def test_the_work_dir_names_the_start(protocol):
    cfg = launch.load_config(protocol)
    launch.set_work_dir(cfg, None, 'some/folder/mine.py')
    assert cfg.work_dir == 'work_dirs/protocol_mine'
    launch.set_work_dir(cfg, 'a', 'mine')
    assert cfg.work_dir == 'a'


def test_what_is_trained_is_tested_with_a_checkpoint(protocol):
    cfg = launch.load_config(protocol)
    launch.require_probe(cfg)
    cfg.train_cfg = dict(type='IterBasedTrainLoop')
    with pytest.raises(ValueError, match='trained before it is tested'):
        launch.require_probe(cfg)
