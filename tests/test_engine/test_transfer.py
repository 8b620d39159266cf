# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

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
