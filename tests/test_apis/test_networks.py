# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from mmloc.apis import init_network
from tests.test_models.test_probes.tiny import BACKBONE, PREPROCESSOR


@pytest.fixture
def config(tmp_path):
    file = tmp_path / 'tiny.py'
    file.write_text(f"""
default_scope = 'mmdet'
start_family = 'dense'
load_from = None
model = dict(
    type='mmloc.BoxFeatureExtractor',
    data_preprocessor={PREPROCESSOR},
    backbone={BACKBONE})
""")
    return str(file)


@pytest.fixture
def start(tmp_path):
    file = tmp_path / 'zeros.py'
    file.write_text("""
start = dict(name='zeros', dense=dict(model=dict(backbone=dict(
    init_cfg=dict(type='Constant', layer='Conv2d', val=0.)))))
""")
    return str(file)


def test_weights_of_a_checkpoint_by_other_names(config, tmp_path):
    weights = init_network(config, start='scratch').state_dict()
    # Those of a ResNet alone, as torchvision saves them, behind DDP.
    path = str(tmp_path / 'weights.pth')
    torch.save({f'module.{name.removeprefix("backbone.")}': value + 1
                for name, value in weights.items()}, path)
    model = init_network(config, path)
    assert not model.training
    for name, value in model.state_dict().items():
        assert value.equal(weights[name] + 1)


def test_weights_of_a_start(config, start):
    model = init_network(config, start=start)
    assert not model.backbone.conv1.weight.any()


def test_options(config):
    model = init_network(
        config, start='scratch', options={'model.backbone.base_channels': 8,
                                          'model.backbone.stem_channels': 8})
    assert model.backbone.conv1.weight.shape[0] == 8


def test_no_weights(config):
    with pytest.raises(ValueError, match='no weights are given'):
        init_network(config)


def test_a_config_without_a_model(tmp_path):
    file = tmp_path / 'empty.py'
    file.write_text('a = 1')
    with pytest.raises(ValueError, match='has no model'):
        init_network(str(file), 'a.pth')


def test_a_checkpoint_that_has_nothing_for_it(config, tmp_path):
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict={'encoder.weight': torch.zeros(1)}), path)
    with pytest.raises(RuntimeError, match="none of the model's tensors"):
        init_network(config, path)
    with pytest.raises(FileNotFoundError, match='is not a file'):
        init_network(config, str(tmp_path / 'none.pth'))
