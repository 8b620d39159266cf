# Copyright (c) mmloc contributors. All rights reserved.
import itertools
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmloc.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
STAR = (('view1', 'view2'), ('view1', 'view3'), ('view1', 'view4'))
SIZES = dict(view1=64, view2=64, view3=48, view4=32)


def build(pairs=STAR[:2], roi_extractor=None, **kwargs):
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIGS / 'soco/soco_r18_fpn_toy.py').model
    cfg.pairs = list(pairs)
    cfg.target.total_steps = 10
    cfg.head.thresholds = (14, 28, 42, 64)
    cfg.roi_head.bbox_roi_extractor.update(roi_extractor or {})
    cfg.update(kwargs)
    model = MODELS.build(cfg)
    model.init_weights()
    return revert_sync_batchnorm(model)


def make_batch(pairs=STAR[:2], num=3, k=4, seed=0):
    """Random views with ``k`` boxes for each pair, ids drawn from few."""
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = {}, {}
    for view in dict.fromkeys(sum(pairs, ())):
        size = SIZES[view]
        inputs[view] = torch.randn(num, 3, size, size, generator=generator)
        count = k * sum(view in pair for pair in pairs)
        corner = torch.rand(num, count, 2, generator=generator) * size / 2
        side = 4 + torch.rand(num, count, 2, generator=generator) * size / 2
        ids = torch.randint(3, (num, count), generator=generator)
        samples[view] = [
            DetDataSample(
                gt_instances=InstanceData(
                    bboxes=torch.cat([corner[i], corner[i] + side[i]], 1),
                    labels=ids[i]),
                metainfo=dict(num_redrawn=i)) for i in range(num)
        ]
    return inputs, samples


def total(losses):
    return sum(v for k, v in losses.items() if k.startswith('loss'))


@pytest.mark.parametrize('num_pairs', [1, 2, 3])
def test_any_number_of_pairs(num_pairs):
    pairs = STAR[:num_pairs]
    losses = build(pairs)(*make_batch(pairs), mode='loss')
    expected = [
        f'loss_{a}_to_{b}' for pair in pairs for a, b in (pair, pair[::-1])
    ]
    assert [k for k in losses if k.startswith('loss')] == expected
    assert all(-2 <= losses[name] <= 2 for name in expected)
    assert losses['redrawn'] == 1


def test_views_need_not_share_one():
    pairs = (('view1', 'view2'), ('view3', 'view4'))
    assert len(build(pairs)(*make_batch(pairs), mode='loss')) == 5


@pytest.mark.parametrize('join_parts', [True, False])
def test_each_view_passes_the_backbone_once_and_each_list_the_norms_once(
        join_parts):
    model = build(join_parts=join_parts)
    box_head = model.roi_head.bbox_head
    layers = dict(
        backbone=model.backbone,
        conv=box_head.shared_convs[0].conv,
        conv_norm=box_head.shared_convs[0].bn,
        fc=box_head.shared_fcs[0],
        projector_linear=model.projector.linear1,
        projector_norm=model.projector.bn1,
        predictor_linear=model.predictor.linear1,
        predictor_norm=model.predictor.bn1)
    calls = dict.fromkeys(layers, 0)
    for name, layer in layers.items():
        layer.register_forward_hook(lambda *_, name=name: calls.update(
            {name: calls[name] + 1}))
    model(*make_batch(), mode='loss')
    # Three views; four lists of boxes on each of four levels.
    joined = 1 if join_parts else 16
    assert calls == dict(
        backbone=3, conv=joined, conv_norm=16, fc=joined,
        projector_linear=joined, projector_norm=16, predictor_linear=joined,
        predictor_norm=16)


@pytest.mark.parametrize('case', ['even', 'uneven', 'empty', 'splits'])
def test_joining_parts_changes_rounding_only(case):
    """Losses, gradients and statistics are those of parts that pass alone."""
    inputs, samples = make_batch(num=4)
    inputs = {view: x.double() for view, x in inputs.items()}
    for sample in itertools.chain.from_iterable(samples.values()):
        instances = sample.gt_instances
        instances.bboxes = instances.bboxes.double()
    if case == 'uneven':
        samples['view2'][0].gt_instances = samples['view2'][0].gt_instances[:1]
    elif case == 'empty':
        for sample in samples['view3']:
            sample.gt_instances = sample.gt_instances[:0]
    results = []
    for join_parts in (True, False):
        model = build(join_parts=join_parts).double()
        model.bn_splits = 2 if case == 'splits' else 1
        losses = model(inputs, samples, mode='loss')
        total(losses).backward()
        results.append((losses, {
            name: param.grad
            for name, param in model.named_parameters()
            if not name.startswith('target.')
        }, model.state_dict()))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-11)


def test_gradients_reach_the_online_network_only():
    model = build()
    total(model(*make_batch(), mode='loss')).backward()
    for name, param in model.named_parameters():
        if name.startswith('target.'):
            assert param.grad is None
        else:
            assert param.grad is not None, name


def test_target_has_no_predictor_and_moves_on_its_schedule():
    model = build()
    assert 'predictor' not in model.target.module
    batch = make_batch()
    model(*batch, mode='loss')
    weight = model.projector.linear1.weight
    before = model.target.module.projector.linear1.weight.clone()
    assert torch.equal(before, weight)
    with torch.no_grad():
        weight += 1
    model(*batch, mode='loss')
    after = model.target.module.projector.linear1.weight
    torch.testing.assert_close(
        after, before + model.target.momentum_at(1), rtol=0, atol=1e-5)


def test_order_of_images_does_not_matter():
    model = build().eval().double()
    inputs, samples = make_batch()
    inputs = {view: x.double() for view, x in inputs.items()}
    order = [2, 0, 1]
    loss = total(model(inputs, samples, mode='loss'))
    other = total(
        model({view: x[order] for view, x in inputs.items()},
              {view: [x[i] for i in order] for view, x in samples.items()},
              mode='loss'))
    torch.testing.assert_close(other, loss)


def test_instances_that_match_nowhere_cost_nothing():
    inputs, samples = make_batch()
    for sample in samples['view1']:
        sample.gt_instances.labels += 100
    losses = build()(inputs, samples, mode='loss')
    assert total(losses) == 0


def test_assigned_levels_alone_give_the_same_in_eval_mode():
    """The extractor changes nothing but the BatchNorm statistics."""
    model = build().eval()
    cheap = build(
        roi_extractor=dict(
            type='mmloc.AssignedLevelRoIExtractor',
            thresholds=(14, 28, 42, 64),
            inclusive=True)).eval()
    cheap.load_state_dict(model.state_dict())
    calls = []
    cheap.projector.bn1.register_forward_hook(lambda *_: calls.append(1))
    batch = make_batch()
    ours, expected = (net(*batch, mode='loss') for net in (cheap, model))
    torch.testing.assert_close(ours, expected)
    assert total(expected) != 0
    assert len(calls) == 4


@pytest.mark.parametrize('pairs', [
    [], [('view1', 'view1')], [('view1', )],
    [('view1', 'view2'), ('view2', 'view1')]
])
def test_wrong_pairs_are_refused(pairs):
    with pytest.raises(ValueError, match='different pairs of two different'):
        build(pairs)


def test_box_lists_that_do_not_fit_the_pairs_are_refused():
    model = build()
    inputs, samples = make_batch()
    samples['view1'][1].gt_instances = samples['view1'][1].gt_instances[:5]
    with pytest.raises(ValueError, match=r'has 5 boxes.*SelectMatches'):
        model(inputs, samples, mode='loss')


def test_pairs_of_the_data_are_those_of_the_model():
    model = build()
    inputs, samples = make_batch()
    for sample in samples['view1']:
        sample.set_metainfo(dict(view_pairs=[*STAR[:2]]))
    model(inputs, samples, mode='loss')
    for sample in samples['view1']:
        sample.set_metainfo(dict(view_pairs=[STAR[1], STAR[0]]))
    with pytest.raises(ValueError, match='SelectMatches must be those of the'):
        model(inputs, samples, mode='loss')


@pytest.mark.parametrize('config', ['fpn', 'c4'])
def test_initialisation(config):
    """As published: zero last gammas, MLPs and heads as PyTorch makes them."""
    init_default_scope('mmdet')
    model = MODELS.build(
        Config.fromfile(CONFIGS / f'_base_/models/soco_r50_{config}.py').model)
    model.init_weights()
    stages = [model.backbone.layer1, model.backbone.layer3]
    if config == 'c4':
        stages.append(model.roi_head.shared_head.layer4)
    for stage in stages:
        for block in stage:
            assert (block.bn3.weight == 0).all()
            std = (2 / block.conv3.out_channels)**0.5
            assert block.conv3.weight.std().item() == pytest.approx(
                std, rel=0.02)
    weights = [model.projector.linear1, model.predictor.linear2]
    if config == 'fpn':
        weights += [
            model.roi_head.bbox_head.shared_fcs[0],
            model.roi_head.bbox_head.shared_convs[1].conv
        ]
        lateral = model.neck.lateral_convs[2].conv.weight
        assert lateral.std().item() == pytest.approx((2 / 256)**0.5, rel=0.02)
    for layer in weights:
        # Uniform within 1 / sqrt(fan-in).
        bound = layer.weight[0].numel()**-0.5
        assert layer.weight.abs().max().item() == pytest.approx(
            bound, rel=0.01)
        assert layer.weight.std().item() == pytest.approx(
            bound / 3**0.5, rel=0.02)
    for name, value in model.online.state_dict().items():
        assert torch.equal(model.target.module.state_dict()[name], value)
