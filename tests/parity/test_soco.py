# Copyright (c) mmloc contributors. All rights reserved.
"""SoCo-FPN, SoCo* and SoCo-C4 against the published implementation.

As for InsLoc, gradients and everything after an optimizer step are compared
in float64 at 1e-9; losses, vectors and running statistics of the single step
in float32 too, at a few times the spread of the reference between two builds.
"""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch.nn.functional import normalize

from mmloc.engine import LARS
from mmloc.models.utils import assign_levels, flatten_ids, match_by_id
from mmloc.registry import MODELS

from .golden import (
    TOLERANCE,
    assert_close,
    assert_same,
    fill,
    is_parameter,
    is_statistic,
    load_case,
    norms,
    reference_images,
    total,
)

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
#: The first is compared in the quick set, too.
CASES = [
    'soco_c4_ema',
    *(pytest.param(name, marks=pytest.mark.slow)
      for name in ('soco_fpn', 'soco_fpn_ema', 'soco_fpn_star',
                   'soco_fpn_star_ema', 'soco_c4'))
]


def to_reference(name: str) -> str:
    """Name of one of our entries in the reference's state dict."""
    if name.startswith('roi_head.bbox_head.shared_convs.'):
        _, _, _, index, layer, leaf = name.split('.')
        return f'head.{layer}{int(index) + 1}.{leaf}'
    for ours, reference in (('roi_head.shared_head.', 'encoder.'),
                            ('roi_head.bbox_head.shared_fcs.0.', 'head.fc1.'),
                            ('backbone.', 'encoder.')):
        name = name.replace(ours, reference)
    return name


def to_target(name: str) -> str:
    """Name of an entry of the target network."""
    root, leaf = to_reference(name).split('.', 1)
    return f'{root}_k.{leaf}'


def online(model: torch.nn.Module) -> torch.nn.Module:
    """The online network with its predictor."""
    return torch.nn.ModuleDict(
        dict(model.online.items(), predictor=model.predictor))


def build(case: dict,
          precision: str,
          channels_last: bool = True) -> torch.nn.Module:
    init_default_scope('mmdet')
    kind = 'c4' if 'c4' in case['case'] else 'fpn'
    cfg = Config.fromfile(CONFIGS / f'soco_r50_{kind}.py').model
    cfg.pairs = [('view1', f'view{i}')
                 for i in range(2, 1 + len(case['view_sizes']))]
    cfg.target.total_steps = case['ema_total_steps_K']
    own_names = case['variant'] != 'copy'
    if own_names:
        # The target has its values already: the first update must average.
        # The reference does so with the momentum that the schedule starts at.
        cfg.target.pop('end_momentum')
    cfg.channels_last = channels_last
    model = revert_sync_batchnorm(MODELS.build(cfg)).train()
    fill(online(model), to_reference)
    fill(model.target.module, to_target if own_names else to_reference)
    model.target.steps.fill_(int(own_names))
    return model.double() if precision == 'f64' else model


def box_list(arrays, key: str, size: int, i: int | None) -> tuple:
    """Boxes in pixels of the view (N, K, 4), and ids (N, K)."""
    boxes = arrays[key] if i is None else arrays[f'iters_{key}'][i]
    boxes = torch.from_numpy(boxes)
    return boxes[..., :4].double() * size, boxes[..., 4].long()


def make_batch(model, case: dict, arrays, i: int | None = None) -> tuple:
    """Images and samples of the single step or of iteration i."""
    dtype = next(model.parameters()).dtype
    seeds = case['image_seeds'] if i is None else case['iters']['image_seeds'][
        i]
    first = [k for k in arrays if k.startswith('bboxs1')]
    inputs, samples = {}, {}
    for index, (seed, size) in enumerate(zip(seeds, case['view_sizes']), 1):
        keys = first if index == 1 else [f'bboxs{index}']
        lists = [box_list(arrays, key, size, i) for key in keys]
        boxes, ids = (torch.cat(x, dim=1) for x in zip(*lists))
        view = f'view{index}'
        images = reference_images(seed, case['N'], (size, size))
        inputs[view] = images.to(dtype)
        samples[view] = [
            DetDataSample(
                gt_instances=InstanceData(bboxes=box.to(dtype), labels=label))
            for box, label in zip(boxes, ids)
        ]
    return inputs, samples


class SingleStep:
    """One forward and backward pass of a case, kept for several tests."""

    def __init__(self,
                 name: str,
                 precision: str,
                 channels_last: bool = True) -> None:
        self.name = f'{name} {precision}'
        self.case, self.arrays = load_case(name)
        self.precision = precision
        self.reference = self.case[precision]
        self.model = build(self.case, precision, channels_last)
        self.terms = []
        head_loss = self.model.head.loss

        def spy(*args):
            self.terms.append(args)
            return head_loss(*args)

        self.model.head.loss = spy
        # Without limits there is one level.
        self.thresholds = self.model.head.thresholds or (float('inf'), )
        self.batch = make_batch(self.model, self.case, self.arrays)
        # A graph of SoCo* takes gigabytes.
        with torch.set_grad_enabled(precision == 'f64'):
            self.losses = self.model(*self.batch, mode='loss')
        if precision == 'f64':
            total(self.losses).backward()

    def vectors(self, levels: list) -> np.ndarray:
        """Unit vectors as the reference stores them, (N, L * K, C)."""
        levels = [
            normalize(x, dim=1).unflatten(0, (self.case['N'], -1))
            for x in levels
        ]
        return torch.cat(levels, dim=1).detach().numpy()


@pytest.fixture(scope='module', params=CASES)
def step(request):
    return SingleStep(request.param, 'f64')


@pytest.fixture(scope='module', params=CASES)
def step_f32(request):
    # torch's BatchNorm on CPUs rounds more in the other order.
    return SingleStep(request.param, 'f32', channels_last=False)


def check_losses(step: SingleStep, atol: float) -> None:
    ours = {
        name.removeprefix('loss_view').replace('_to_view', 'to'): loss.item()
        for name, loss in step.losses.items() if name.startswith('loss')
    }
    terms = step.reference['loss_terms']
    assert list(ours) == list(terms)
    assert_close(
        f'{step.name}: losses', [*ours.values(), sum(ours.values())],
        [*terms.values(), step.reference['loss_total']],
        atol=atol)


def check_vectors(step: SingleStep, atol: float) -> None:
    assert len(step.terms) == len(step.reference['loss_terms'])
    for term, args in zip(step.reference['loss_terms'], step.terms):
        for name, ours in zip(('pred', 'target'), args):
            # The `_ema` cases are stored in float64 only.
            key = f'{name}_{term}_{step.precision}'
            if step.precision == 'f64' or key in step.arrays:
                assert_close(
                    f'{step.name}: {name} vectors',
                    step.vectors(ours),
                    step.arrays[key],
                    atol=atol)


def check_statistics(step: SingleStep, rtol: float) -> None:
    for module, rename, key in ((online(step.model), to_reference, 'online'),
                                (step.model.target.module, to_target,
                                 'target')):
        assert_same(f'{step.name}: {key} running statistics',
                    norms(module, is_statistic, rename),
                    step.reference[f'{key}_bn_running_norm'], rtol)


def test_matches(step):
    """Ids and sizes give the matrices that the reference's loader makes."""
    model = step.model
    for pair in model.pairs:
        regions = [
            model.region_lists(view, step.batch[1][view])[pair]
            for view in pair
        ]
        image_and_id = [flatten_ids(ids) for _, ids in regions]
        match = match_by_id(*image_and_id[0], *image_and_id[1])
        k = len(regions[0][0][0])
        levels = [
            assign_levels(torch.cat(boxes), step.thresholds, inclusive=True)
            for boxes, _ in regions
        ]
        key = f'corres_{pair[0][-1]}{pair[1][-1]}'
        reference = step.arrays[key if key in step.arrays else 'corres']
        ours = np.zeros_like(reference)
        for a, b in match.nonzero().tolist():
            ours[a // k, levels[0][a] * k + a % k,
                 levels[1][b] * k + b % k] = 1
        np.testing.assert_array_equal(ours, reference)


def test_losses(step):
    check_losses(step, TOLERANCE)


def test_vectors(step):
    check_vectors(step, TOLERANCE)


def gradients(step: SingleStep) -> dict:
    return {
        to_reference(name): param.grad
        for name, param in online(step.model).named_parameters()
    }


def test_gradient_norms(step):
    ours = {name: grad.norm().item() for name, grad in gradients(step).items()}
    assert_same(f'{step.name}: gradient norms', ours,
                step.reference['grad_norm'], TOLERANCE,
                step.case['grad_zero_by_construction'])


def test_gradient_entries(step):
    grads = gradients(step)
    for name, entry in step.reference['grad_entries'].items():
        if name in step.case['grad_zero_by_construction']:
            continue
        grad = grads[name].flatten()
        scale = grad.abs().max().item()
        assert_close(
            f'{step.name}: gradient entries / largest',
            grad[entry['index']].numpy() / scale,
            np.array(entry['value']) / scale,
            atol=TOLERANCE)


def test_target_takes_no_gradient(step):
    assert all(p.grad is None for p in step.model.target.parameters())


def test_target_after_update(step):
    assert_same(f'{step.name}: norms after the momentum update',
                norms(step.model.target.module, is_parameter, to_target),
                step.reference['target_param_norm_after_update'], TOLERANCE)


def test_running_statistics(step):
    check_statistics(step, TOLERANCE)


def test_batches_tracked(step):
    state = {to_reference(k): v for k, v in online(
        step.model).state_dict().items()}
    state.update({to_target(k): v
                  for k, v in step.model.target.module.state_dict().items()})
    reference = step.reference['num_batches_tracked']
    assert {name: int(state[name]) for name in reference} == reference


def test_float32(step_f32):
    check_losses(step_f32, 6e-5)
    check_vectors(step_f32, 1e-4)
    check_statistics(step_f32, 1.2e-5)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['soco_fpn', 'soco_c4'])
def test_float32_channels_last(name):
    """In the order of memory that training uses, ten times the tolerance."""
    step = SingleStep(name, 'f32')
    check_losses(step, 6e-4)
    check_vectors(step, 1e-3)
    check_statistics(step, 1.2e-4)


@pytest.mark.parametrize('name', ['soco_fpn', 'soco_fpn_star', 'soco_c4'])
def test_momentum(name):
    case, _ = load_case(name)
    target = MODELS.build(
        dict(
            type='mmloc.MomentumTarget',
            model=torch.nn.Linear(1, 1),
            momentum=0.01,
            end_momentum=0.))
    trace = case['ema_momentum_script_scale']
    for steps, ks, reference in (
        (case['ema_total_steps_K'], range(6),
         case['ema_momentum_iter_0_to_5']),
        (trace['K'], trace['k'], trace['momentum'])):
        target.total_steps = steps
        assert_close(
            f'{name}: momentum', [1 - target.momentum_at(k) for k in ks],
            reference,
            atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize('iters_key', ['iters', 'iters_small_lr'])
@pytest.mark.parametrize('name', ['soco_fpn', 'soco_fpn_star', 'soco_c4'])
def test_lars_iterations(name, iters_key):
    case, arrays = load_case(name)
    iters, skip = case[iters_key], case['grad_zero_by_construction']
    reference = iters['f64']
    model = build(case, 'f64')
    settings = iters['optimizer']
    optimizer = LARS(
        online(model).parameters(),
        lr=settings['lr'],
        momentum=settings['momentum'],
        weight_decay=settings['weight_decay'],
        trust_coefficient=settings['trust_coef'],
        eps=settings['eps'])
    # Steps of 0.5 amplify rounding errors a thousandfold.
    tolerance = TOLERANCE * (1 if settings['lr'] < 0.1 else 100)
    title = f'{name} f64: {iters["n"]} LARS steps of {settings["lr"]}'
    for i in range(iters['n']):
        losses = model(*make_batch(model, case, arrays, i), mode='loss')
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
        assert_close(
            f'{title}, losses',
            [v.item() for k, v in losses.items() if k.startswith('loss')],
            reference['loss_terms'][i],
            atol=tolerance)
        if i == 0:
            assert_same(f'{title}, norms after the first',
                        norms(online(model), is_parameter, to_reference),
                        reference['online_param_norm_after_iter_1'],
                        tolerance, skip)
    for module, rename, key in ((online(model), to_reference, 'online'),
                                (model.target.module, to_target, 'target')):
        assert_same(f'{title}, {key} norms',
                    norms(module, is_parameter, rename),
                    reference[f'{key}_param_norm'], tolerance,
                    [*skip, *(to_target(x) for x in skip)])
        assert_same(f'{title}, {key} statistics',
                    norms(module, is_statistic, rename),
                    reference[f'{key}_bn_running_norm'], tolerance)
