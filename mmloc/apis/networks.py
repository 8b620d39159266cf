# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from torch import nn

from mmloc.engine.checkpoint_files import check_readable
from mmloc.engine.fit import fit_checkpoint
from mmloc.engine.launch import load_config, require
from mmloc.engine.transfer import compare_state_dicts
from mmloc.registry import MODELS
from mmloc.utils.cli import building


def read_config(config: str,
                checkpoint: str | None,
                start: str | None = None,
                options: dict | None = None) -> Config:
    """Read the config of a network that has weights.

    Args:
        config (str): A file, or ``package::path``.
        checkpoint (str, optional): Path or address of the weights; None
            takes those of the start.
        start (str, optional): Name of a shipped start, or path of a file.
            Defaults to None.
        options (dict, optional): Settings with dotted keys.
            Defaults to None.

    Returns:
        Config: With ``load_from``; without one the weights are the start's.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The config has no model, the checkpoint cannot be read,
            or there are no weights and ``start`` does not ask for new ones.
    """
    cfg = load_config(config, options, start)
    require(cfg, 'model')
    cfg.load_from = checkpoint or (cfg.get('load_from') if start else None)
    if cfg.load_from is None and start is None:
        raise ValueError(
            f'no weights are given for {config}; give a checkpoint, or a '
            "start ('scratch' for new weights)")
    if cfg.load_from and '://' not in cfg.load_from:
        check_readable(cfg.load_from)
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    return cfg


def init_network(config: str,
                 checkpoint: str | None = None,
                 start: str | None = None,
                 options: dict | None = None,
                 device: str = 'cpu') -> nn.Module:
    """Build a network with its weights, to look into it.

    It may be a pretraining, a detector or a probe.

    Args:
        config (str): A file, or ``package::path`` such as
            ``mmloc::insloc/insloc_r18_fpn_toy.py``.
        checkpoint (str, optional): Path or address of the weights; tensors
            that the network lacks are ignored. Defaults to None, for those
            of the start.
        start (str, optional): Name of a shipped start, or path of a file, to
            lay over a transfer protocol. Defaults to None.
        options (dict, optional): Settings with dotted keys that replace
            those of the config. Defaults to None.
        device (str): Defaults to 'cpu'.

    Returns:
        nn.Module: In evaluation mode.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The config cannot be built, or gives no weights.
        RuntimeError: The checkpoint has nothing for the network.
    """
    cfg = read_config(config, checkpoint, start, options)
    with building(f'features of {config}'):
        model = MODELS.build(cfg.model)
    if start is not None:
        model.init_weights()
    if cfg.load_from:
        loaded = CheckpointLoader.load_checkpoint(
            cfg.load_from, map_location='cpu')
        state = {
            name.removeprefix('module.'): value
            for name, value in loaded.get('state_dict', loaded).items()
        }
        own = model.state_dict()
        state, _ = fit_checkpoint(state, own)
        compare_state_dicts(own, state).check()
        fitting = {
            name: value
            for name, value in state.items()
            if name in own and value.shape == own[name].shape
        }
        model.load_state_dict(fitting, strict=False)
    return revert_sync_batchnorm(model).to(device).eval()
