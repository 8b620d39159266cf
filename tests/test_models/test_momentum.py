# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch
from torch import nn

from mmloc.models import MomentumTarget


def make_net(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for param in net.parameters():
        nn.init.constant_(param, value)
    return net


def values(target: MomentumTarget) -> torch.Tensor:
    return torch.cat([p.flatten() for p in target.module.parameters()])


def test_first_update_copies():
    target = MomentumTarget(make_net(0.), momentum=0.1)
    target.update_parameters(make_net(5.))
    assert (values(target) == 5).all()
    assert target.steps.item() == 1


def test_later_updates_average():
    target = MomentumTarget(make_net(1.), momentum=0.1)
    target.update_parameters(make_net(1.))
    target.update_parameters(make_net(2.))
    torch.testing.assert_close(values(target), torch.full((10, ), 1.1))
    target.update_parameters(make_net(3.))
    torch.testing.assert_close(values(target), torch.full((10, ), 1.29))


def test_interval_skips_updates():
    target = MomentumTarget(make_net(1.), momentum=0.5, interval=2)
    seen = []
    for value in (1., 3., 3., 5., 5.):
        target.update_parameters(make_net(value))
        seen.append(values(target)[0].item())
    assert seen == [1., 1., 2., 2., 3.5]


def test_buffers_are_the_targets_own():
    online = make_net(1.)
    target = MomentumTarget(online, momentum=0.1)
    online[1].running_mean.fill_(7.)
    target.update_parameters(online)
    assert (target.module[1].running_mean == 0).all()
    target.copy_from(online)
    assert (target.module[1].running_mean == 7).all()


def test_is_frozen():
    target = MomentumTarget(make_net(1.))
    assert not any(p.requires_grad for p in target.parameters())


def test_step_count_is_saved():
    target = MomentumTarget(make_net(1.), momentum=0.1)
    target.update_parameters(make_net(1.))
    resumed = MomentumTarget(make_net(0.), momentum=0.1)
    resumed.load_state_dict(target.state_dict())
    resumed.update_parameters(make_net(2.))
    # Averaged, not copied again.
    torch.testing.assert_close(values(resumed), torch.full((10, ), 1.1))


@pytest.mark.parametrize('momentum', [0., 1., 1.5])
def test_rejects_momentum(momentum):
    with pytest.raises(ValueError, match='share of the online network'):
        MomentumTarget(make_net(1.), momentum=momentum)


def make_scheduled(**kwargs):
    return MomentumTarget(
        make_net(1.), momentum=0.2, end_momentum=0., **kwargs)


def test_schedule_is_half_a_cosine():
    target = make_scheduled(total_steps=4)
    curve = [target.momentum_at(k) for k in (0, 1, 2, 3, 4, 9)]
    assert curve == pytest.approx(
        [0.2, 0.1 + 0.05 * 2**0.5, 0.1, 0.1 - 0.05 * 2**0.5, 0., 0.])


def test_schedule_goes_on_after_resuming():
    target = make_scheduled(total_steps=4)
    for _ in range(3):
        target.update_parameters(make_net(1.))
    resumed = make_scheduled(total_steps=4)
    resumed.load_state_dict(target.state_dict())
    for net in (target, resumed):
        net.update_parameters(make_net(2.))
    assert torch.equal(values(resumed), values(target))
    torch.testing.assert_close(
        values(resumed), torch.full((10, ), 1 + target.momentum_at(3)))


def test_schedule_counts_updates_under_accumulation():
    target = make_scheduled(total_steps=4, interval=2)
    for _ in range(2):
        target.update_parameters(make_net(1.))
    target.update_parameters(make_net(2.))
    torch.testing.assert_close(
        values(target), torch.full((10, ), 1 + target.momentum_at(1)))


def test_schedule_needs_a_length():
    target = make_scheduled()
    target.update_parameters(make_net(1.))
    with pytest.raises(RuntimeError, match='TargetScheduleHook'):
        target.update_parameters(make_net(1.))


@pytest.mark.parametrize('end', [-0.1, 0.3])
def test_rejects_end_momentum(end):
    with pytest.raises(ValueError, match=r'lie in \[0, momentum\]'):
        MomentumTarget(make_net(1.), momentum=0.2, end_momentum=end)


def test_count_is_read_again_where_something_else_wrote_it():
    target = make_scheduled(total_steps=4)
    for _ in range(2):
        target.update_parameters(make_net(1.))
    target.steps.fill_(4)
    before = values(target)
    target.update_parameters(make_net(2.))
    assert torch.equal(values(target), before)
    target.steps = torch.tensor(0)
    target.update_parameters(make_net(2.))
    assert (values(target) == 2).all()
