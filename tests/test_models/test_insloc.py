# Copyright (c) mmloc contributors. All rights reserved.
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmloc.registry import MODELS

CONFIG = Path(__file__).parents[2] / 'configs/insloc/insloc_r18_fpn_toy.py'
SIZE = 64


def build(queue_length=7, **kwargs):
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIG).model
    # Batches of 3 do not divide the default length.
    cfg.head.queue.length = queue_length
    cfg.bn_splits = 1
    cfg.update(kwargs)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def make_batch(counts=(1, 1, 1), seed=0):
    """Random images with ``counts`` boxes each."""
    generator = torch.Generator().manual_seed(seed)

    def boxes(num):
        corner = torch.rand(num, 2, generator=generator) * 24
        side = 16 + torch.rand(num, 2, generator=generator) * 24
        return torch.cat([corner, corner + side], dim=1)

    inputs, samples = {}, {}
    for view in ('query', 'key'):
        inputs[view] = torch.randn(
            len(counts), 3, SIZE, SIZE, generator=generator)
        samples[view] = [
            DetDataSample(
                gt_instances=InstanceData(
                    bboxes=boxes(num),
                    labels=torch.arange(num),
                    aug_bboxes=boxes(num))) for num in counts
        ]
    return inputs, samples


def test_c4_contrasts_one_level():
    init_default_scope('mmdet')
    cfg = Config.fromfile(
        CONFIG.parents[1] / '_base_/models/insloc_r50_c4.py').model
    cfg.head.queue.length = 7
    model = MODELS.build(cfg)
    assert model.num_levels == 1
    inputs, samples = make_batch()
    boxes, = model.query_boxes(samples['query'])
    assert boxes[0] is samples['query'][0].gt_instances.aug_bboxes
    losses = model(inputs, samples, mode='loss')
    assert set(losses) == {'loss_c4', 'acc_c4'}
    losses['loss_c4'].backward()
    last = model.roi_head.shared_head.layer4[-1].conv3.weight
    assert last.grad.abs().max() > 0
    assert model.head.queue.pointer == 3


def total(losses):
    return sum(v for k, v in losses.items() if k.startswith('loss'))


def test_paths_are_those_of_a_detector():
    """Online parameters load into mmdet's detector under their own names."""
    model = build()
    detector = MODELS.build(
        dict(
            type='mmdet.StandardRoIHead',
            bbox_roi_extractor=dict(
                type='mmdet.SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=7),
                out_channels=32,
                featmap_strides=[4, 8, 16, 32]),
            bbox_head=dict(
                type='mmdet.ConvFCBBoxHead',
                num_shared_convs=4,
                num_shared_fcs=2,
                in_channels=32,
                conv_out_channels=32,
                fc_out_channels=128,
                norm_cfg=dict(type='BN'))))
    ours = model.roi_head.state_dict()
    theirs = {
        k: v
        for k, v in detector.state_dict().items()
        if not k.startswith(('bbox_head.fc_cls', 'bbox_head.fc_reg'))
    }
    assert {k: v.shape for k, v in ours.items()} == \
        {k: v.shape for k, v in theirs.items()}


def test_target_is_a_copy_after_initialisation():
    model = build()
    online = model.online.state_dict()
    for name, value in model.target.module.state_dict().items():
        assert torch.equal(value, online[name])


def test_gradients_reach_all_online_parameters_and_no_other():
    model = build()
    total(model(*make_batch(), mode='loss')).backward()
    missing = [n for n, p in model.online.named_parameters() if p.grad is None]
    assert not missing
    assert all(p.grad is None for p in model.target.parameters())


def test_queue_receives_one_key_per_region():
    model = build()
    for counts, pointer in (((1, 1, 1), 3), ((2, 0, 3), 1)):
        model(*make_batch(counts), mode='loss')
        assert model.head.queue.pointer.item() == pointer


def test_augmented_boxes_act_on_their_levels_only():
    model = build()
    samples = make_batch()[1]['query']
    pasted = [s.gt_instances.bboxes for s in samples]
    augmented = [s.gt_instances.aug_bboxes for s in samples]
    for boxes, expected in zip(
            model.query_boxes(samples), [pasted] * 3 + [augmented]):
        assert all(torch.equal(a, b) for a, b in zip(boxes, expected))


def test_no_augmentation_needs_no_augmented_boxes():
    model = build(augmented_levels=())
    inputs, samples = make_batch()
    for sample in samples['query']:
        del sample.gt_instances.aug_bboxes
    assert total(model(inputs, samples, mode='loss')).isfinite()


def test_images_without_instance():
    model = build()
    losses = model(*make_batch((0, 0)), mode='loss')
    total(losses).backward()
    assert total(losses).item() == 0
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name
    # Parameters behind the pooling take part, so no rank waits for them.
    assert all(p.grad is not None for p in model.roi_head.parameters())


def test_stacking_the_levels_shares_batch_statistics():
    """Stacked levels make one BatchNorm batch, others one per level."""
    batches = {}
    for stack_levels in (True, False):
        model = build(stack_levels=stack_levels)
        model(*make_batch(), mode='loss')
        norm = model.roi_head.bbox_head.shared_convs[0].bn
        batches[stack_levels] = norm.num_batches_tracked.item()
    assert batches == {True: 1, False: 4}


def test_splits_have_batch_statistics_of_their_own():
    model = build(bn_splits=3)
    losses = model(*make_batch((2, 0, 1, 1)), mode='loss')
    total(losses).backward()
    # 4 images make 2 + 2.
    for net in (model, model.target.module):
        assert net.backbone.bn1.num_batches_tracked.item() == 2
    assert model.head.queue.pointer.item() == 4


def test_splitting_permutes_and_restores_the_keys():
    """Without batch statistics splitting changes nothing."""
    batch = make_batch((2, 0, 1, 1))
    outputs = []
    for bn_splits in (1, 2):
        model = build(bn_splits=bn_splits).eval()
        model.target.eval()
        with torch.no_grad():
            outputs.append(
                model.encode_key(batch[0]['key'], batch[1]['key']))
    for one, split in zip(*outputs):
        torch.testing.assert_close(one, split, rtol=1e-4, atol=1e-5)


def test_canvas_need_not_be_square():
    model = build()
    inputs, samples = make_batch()
    inputs = {view: x[..., :SIZE - 10] for view, x in inputs.items()}
    assert total(model(inputs, samples, mode='loss')).isfinite()


def test_gradient_descent_lowers_the_loss():
    """On the same batch and queue, since both move the loss otherwise."""
    model = build(queue_length=64)
    queue = {k: v.clone() for k, v in model.head.queue.state_dict().items()}
    optimizer = torch.optim.SGD(model.online.parameters(), lr=0.01)
    batch = make_batch((1, ) * 4)
    losses = []
    for _ in range(4):
        model.head.queue.load_state_dict(queue)
        loss = total(model(*batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_rejects_bad_arguments():
    with pytest.raises(ValueError, match='levels 0 to 3'):
        build(augmented_levels=(4, ))
    with pytest.raises(ValueError, match='bn_splits is 0'):
        build(bn_splits=0)


def test_order_in_memory_changes_rounding_only():
    losses, state = [], None
    for channels_last in (False, True):
        model = build(channels_last=channels_last).double()
        # Random numbers fill weights in their order in memory.
        state = state or deepcopy(model.state_dict())
        model.load_state_dict(state)
        weight = model.target.module.backbone.conv1.weight
        order = torch.channels_last if channels_last else (
            torch.contiguous_format)
        assert weight.is_contiguous(memory_format=order)
        inputs, samples = make_batch()
        inputs = {view: x.double() for view, x in inputs.items()}
        losses.append(total(model(inputs, samples, mode='loss')))
        losses[-1].backward()
        assert model.backbone.conv1.weight.grad.is_contiguous(
            memory_format=order)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-11, atol=0)
