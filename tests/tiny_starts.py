# Copyright (c) mmloc contributors. All rights reserved.
"""Checkpoints of the starts: untrained networks, saved as trained ones are.

Each lies where mmengine looks for it, below the working folder or in torch's
cache of downloads, so that configs are used as they are, without a network.
"""
from functools import cache
from pathlib import Path

import torch
import torchvision
from mmdet.models import ResNet
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import (
    get_external_models,
    get_torchvision_models,
    save_checkpoint,
)

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def make_checkpoint(address: str) -> Path:
    """Write the checkpoint that a start names, unless it is there.

    Args:
        address (str): A ``load_from``, or the ``checkpoint`` of an
            ``init_cfg``: below ``work_dirs``, of mmpretrain's model zoo,
            ``torchvision://resnet50`` or a ``open-mmlab://`` of Caffe.

    Returns:
        Path: Where it is.
    """
    path = place_of(address)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Different weights for every start, the same in every run.
        torch.manual_seed(sum(address.encode()))
        if address.startswith('torchvision://'):
            torch.save(torchvision.models.resnet50().state_dict(), path)
        else:
            hub = MessageHub.get_instance('tiny_starts')
            save_checkpoint(
                dict(meta=dict(iter=1), message_hub=hub.state_dict(),
                     state_dict=_network(address).state_dict()), str(path))
    return path


def place_of(address: str) -> Path:
    """Find where mmengine reads an address from."""
    scheme, _, name = address.rpartition('://')
    if not scheme:
        return Path(address)
    if scheme == 'torchvision':
        name = _torchvision_models()[name]
    elif scheme == 'open-mmlab':
        name = get_external_models()[name]
    return Path(torch.hub.get_dir()) / 'checkpoints' / Path(name).name


_torchvision_models = cache(get_torchvision_models)


def _network(address: str) -> torch.nn.Module:
    """Build what has been pretrained, its queue shortened."""
    if address.startswith('open-mmlab://'):
        return ResNet(50, style='caffe')
    if address.startswith('work_dirs/'):
        # work_dirs/<config>/epoch_200.pth
        cfg = Config.fromfile(
            next(CONFIGS.glob(f'*/{Path(address).parent.name}.py')))
    else:
        # .../<folder of mmpretrain's config>/<config>/<config>_<date>.pth
        folder, name = address.split('/')[-3:-1]
        cfg = get_config(f'mmpretrain::{folder}/{name}.py')
    if 'queue' in cfg.model.get('head', {}):
        cfg.model.head.queue.length = 256
    elif 'queue_len' in cfg.model:
        cfg.model.queue_len = 256
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # it lists every tensor
    model.init_weights()
    logger.setLevel(level)
    return model
