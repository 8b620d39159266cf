# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmloc.engine import compare_state_dicts


def _state(**sizes):
    return {
        name.replace('__', '.'): torch.zeros(size)
        for name, size in sizes.items()
    }


def test_every_tensor_has_one_fate():
    model = _state(backbone__conv__weight=3, backbone__conv__bias=1,
                   neck__conv__weight=4, rpn_head__conv__weight=2,
                   roi_head__bbox_head__fc__weight=5,
                   roi_head__bbox_head__fc_cls__weight=8,
                   roi_head__mask_head__conv__weight=6)
    checkpoint = _state(backbone__conv__weight=3, neck__conv__weight=9,
                        roi_head__bbox_head__fc__weight=5,
                        roi_head__bbox_head__fc2__weight=5,
                        target__module__backbone__conv__weight=3,
                        head__queue__features=7, projector__fc__weight=2)
    report = compare_state_dicts(model, checkpoint)

    assert list(report.modules) == [
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ]
    backbone = report.modules['backbone']
    assert backbone.loaded == ['backbone.conv.weight']
    assert backbone.missing == ['backbone.conv.bias']
    assert report.modules['neck'].wrong_shape == ['neck.conv.weight']
    head = report.modules['roi_head.bbox_head']
    assert head.unexpected == ['roi_head.bbox_head.fc2.weight']
    assert report.pretext == {'target': 1, 'head': 1, 'projector': 1}
    assert report.loaded == 2
    assert report.partial == ['backbone']
    assert not report.complete
    report.check()
    table = report.table()
    assert '1 of 2' in table
    assert 'ignored (pretext)' in table


def test_head_of_a_model_with_a_head_is_not_pretext():
    model = _state(backbone__a=1, head__fc=2)
    report = compare_state_dicts(model, _state(backbone__a=1, head__fc=3))
    assert report.pretext == {}
    assert report.modules['head'].wrong_shape == ['head.fc']


def test_equal_states_are_complete():
    model = _state(backbone__a=1, neck__b=2)
    report = compare_state_dicts(model, model)
    assert report.complete
    assert report.partial == []


@pytest.mark.parametrize(('checkpoint', 'part'), [
    (dict(other__weight=1), 'model'),
    (dict(), 'model'),
    (dict(encoder__a=1, neck__b=2), 'backbone'),
    (dict(backbone__a=7, neck__b=2), 'backbone'),
])
def test_nothing_for_the_backbone_is_an_error(checkpoint, part):
    report = compare_state_dicts(
        _state(backbone__a=1, neck__b=2), _state(**checkpoint))
    with pytest.raises(RuntimeError, match=f"none of the {part}'s tensors"):
        report.check()


def test_a_model_without_a_backbone_needs_any_tensor():
    report = compare_state_dicts(
        _state(conv1__weight=1, fc__weight=2), _state(conv1__weight=1))
    report.check()


def _embedding(name):
    return dict(type=f'{name}', in_channels=84, hid_channels=4,
                out_channels=4)


@pytest.mark.parametrize(('algorithm', 'parts'), [
    (dict(type='MoCo', queue_len=8, feat_dim=4,
          neck=_embedding('MoCoV2Neck'),
          head=dict(type='ContrastiveHead',
                    loss=dict(type='CrossEntropyLoss'))),
     {'encoder_k', 'queue', 'queue_ptr', 'neck'}),
    (dict(type='BYOL', neck=_embedding('NonLinearNeck'),
          head=dict(type='LatentPredictHead',
                    predictor=_embedding('NonLinearNeck'),
                    loss=dict(type='CosineSimilarityLoss'))),
     {'target_net', 'neck', 'head'}),
    (dict(type='DenseCL', queue_len=8, feat_dim=4,
          neck=_embedding('DenseCLNeck'),
          head=dict(type='ContrastiveHead',
                    loss=dict(type='CrossEntropyLoss'))),
     {'encoder_k', 'queue', 'queue_ptr', 'queue2', 'queue2_ptr', 'neck'}),
], ids=['mocov2', 'byol', 'densecl'])
def test_pretext_parts_of_mmpretrain(algorithm, parts):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        state = MODELS.build(dict(
            algorithm, backbone=dict(type='LeNet5'))).state_dict()
    model = {name: value for name, value in state.items()
             if name.startswith('backbone.')}
    model.update(_state(neck__lateral_convs__0__weight=1, head__fc__weight=1))
    report = compare_state_dicts(model, state)
    assert set(report.pretext) == parts
    assert report.loaded == len(model) - 2
    assert not any(module.unexpected for module in report.modules.values())


def test_a_pyramid_is_no_pretext_part():
    state = _state(backbone__a=1, neck__lateral_convs__0__weight=2, queue=3)
    report = compare_state_dicts(_state(backbone__a=1), state)
    assert report.pretext == {'queue': 1}
    assert report.modules['neck'].unexpected
    # Nor is an embedding that mmpretrain's other networks have.
    state = _state(backbone__a=1, neck__mlp__weight=2)
    assert compare_state_dicts(_state(backbone__a=1), state).pretext == {}


def test_counters_of_batches_are_not_missed():
    model = _state(backbone__bn__weight=1, backbone__bn__num_batches_tracked=1)
    report = compare_state_dicts(model, _state(backbone__bn__weight=1))
    assert report.partial == []
    report = compare_state_dicts(
        model, _state(backbone__bn__num_batches_tracked=1))
    assert report.partial == ['backbone']
