# Copyright (c) mmloc contributors. All rights reserved.
"""A training goes on only with what it was begun with."""
import pytest
from mmengine.config import Config

from mmloc.engine import training_note


def test_other_settings_are_refused_by_name(tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.write_bytes(b'1')
    cfg = Config(dict(param_scheduler=[
        dict(type='LinearLR'), dict(type='MultiStepLR', milestones=[2, 3])]))
    cfg.load_from = str(weights)
    note = tmp_path / 'settings.json'
    training_note.check_same(note, training_note.identify(cfg, 80))
    training_note.check_same(note, training_note.identify(cfg, 80))
    cfg.param_scheduler[1].milestones = [1, 3]
    with pytest.raises(ValueError, match=(
            r'config.param_scheduler.1.milestones was \[2, 3\] and is '
            r'\[1, 3\]; give')):
        training_note.check_same(note, training_note.identify(cfg, 80))
    cfg.param_scheduler[1].milestones = [2, 3]
    weights.write_bytes(b'2')  # other weights under the same name
    with pytest.raises(ValueError, match='weights was'):
        training_note.check_same(note, training_note.identify(cfg, 80))
