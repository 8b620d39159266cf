# Copyright (c) mmloc contributors. All rights reserved.
"""The shipped pretraining networks, for tests of their weights."""
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmloc.models  # noqa: F401
from mmloc.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
NETWORKS = ('insloc_r50_fpn', 'insloc_r50_c4', 'soco_r50_fpn', 'soco_r50_c4')


def build_config(cfg):
    """A model without values."""
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg)


def build(name):
    """One of the pretraining networks, without values, its queue short."""
    cfg = Config.fromfile(CONFIGS / f'_base_/models/{name}.py').model
    # In the order of other projects' networks, for features of equal rounding.
    cfg.channels_last = False
    if cfg.type == 'mmloc.InsLoc':
        cfg.head.queue.length = 8
    return build_config(cfg)


def random_state(model, starts):
    """Values for the modules that start so, all different, also those of the
    running statistics; zeros for the others, which take no time."""
    torch.manual_seed(0)
    state = {}
    for name, tensor in model.state_dict().items():
        value = torch.zeros_like(tensor, device='cpu')
        if name.startswith(starts) and value.is_floating_point():
            if value.ndim > 1:
                value.normal_(0, (2 / value[0].numel())**0.5)
            else:
                centre = name.endswith(('.weight', '_var'))
                value.uniform_(-0.2, 0.2).add_(float(centre))
        state[name] = value
    return state


def load(model, state):
    """Let a model without values use those of a state dict."""
    model.load_state_dict(state, strict=False, assign=True)
    return model.eval()
