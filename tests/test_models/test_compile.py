# Copyright (c) mmloc contributors. All rights reserved.
import pytest
import torch

from . import test_insloc, test_soco


@pytest.mark.parametrize('method', [test_insloc, test_soco])
def test_backbone_and_neck_of_both_networks_are_compiled(method):
    model = method.build()
    names = list(model.state_dict())
    model.compile(backend='eager')
    assert {
        name for name, module in model.named_modules()
        if module._compiled_call_impl is not None
    } == {'backbone', 'neck', 'target.module.backbone', 'target.module.neck'}
    assert list(model.state_dict()) == names


@pytest.mark.slow
def test_a_compiled_step_gives_the_same():
    """Traced by torch.compile, the graphs run as they are."""
    plain, compiled = test_insloc.build(), test_insloc.build()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled.compile(backend=backend)
    results = []
    for model in (plain, compiled):
        losses = model(*test_insloc.make_batch(), mode='loss')
        test_insloc.total(losses).backward()
        results.append((losses, model.state_dict(), {
            name: param.grad
            for name, param in model.online.named_parameters()
        }))
    torch.testing.assert_close(*results)
    # Backbone and neck, with and without gradient.
    assert len(graphs) >= 4
    torch.compiler.reset()
