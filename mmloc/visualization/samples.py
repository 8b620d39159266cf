# Copyright (c) mmloc contributors. All rights reserved.
import random

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmloc.registry import DATASETS

from .composites import draw_composites
from .views import draw_views


def draw_samples(cfg: Config,
                 num: int = 4,
                 start: int = 0,
                 seed: int = 0) -> np.ndarray:
    """Draw what a pretraining config trains on.

    Args:
        cfg (Config): The config, of InsLoc or of SoCo. Relative paths in it
            start from the current folder.
        num (int): How many samples at most. Defaults to 4.
        start (int): Index of the first image. Defaults to 0.
        seed (int): Of the random draws. Defaults to 0.

    Returns:
        np.ndarray: The sheet of :func:`draw_views`, or of
        :func:`draw_composites` where boxes serve no pairs of views; (H, W,
        3), uint8, BGR.

    Raises:
        FileNotFoundError: The images or their proposals are missing.
        ValueError: The config is none of pretraining, or has no image
            ``start``.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    for sow in (random.seed, np.random.seed, torch.manual_seed):
        sow(seed)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    if not 0 <= start < len(dataset) or num < 1:
        raise ValueError(f'{num} samples from index {start} on are asked for, '
                         f'expected 1 or more of the {len(dataset)} that '
                         'there are.')
    samples = [
        dataset[i] for i in range(start, min(start + num, len(dataset)))
    ]
    data_samples = samples[0]['data_samples']
    if not isinstance(data_samples, dict):
        raise ValueError(f'{cfg.filename} gives samples without views, '
                         'expected a config of pretraining.')
    if 'pairs' not in next(iter(data_samples.values())).gt_instances:
        return draw_composites(samples)
    rule = {
        key: cfg.model.head[key]
        for key in ('thresholds', 'inclusive') if key in cfg.model.head
    }
    return draw_views(samples, **rule)
