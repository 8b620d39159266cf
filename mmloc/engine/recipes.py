# Copyright (c) mmloc contributors. All rights reserved.
"""What a transfer config comes to, in the terms of papers."""
from itertools import pairwise

from mmengine.config import Config

#: Columns of a recipe, in their order.
COLUMNS = ('protocol', 'start', 'length', 'steps', 'warm-up', 'batch', 'lr',
           'weight decay', 'norm decay', 'train sides', 'test side', 'norm',
           'extra norm', 'frozen', 'precise BN', 'images', 'stride in',
           'metrics', 'weights')


def resolve_recipe(cfg: Config, protocol: str, start: str) -> dict[str, str]:
    """Read off a config what decides about its scores.

    Args:
        cfg (Config): A transfer protocol, a start laid over it.
        protocol (str): What to call the protocol.
        start (str): What to call the start.

    Returns:
        dict[str, str]: A text for each of :data:`COLUMNS`, '-' where the
        protocol has none.
    """
    recipe = dict.fromkeys(COLUMNS, '-')
    recipe.update(
        protocol=protocol,
        start=start,
        **_model(cfg.model),
        metrics=', '.join(_metrics(cfg.test_evaluator)),
        weights=cfg.get('load_from') or 'new')
    if cfg.get('train_cfg'):
        recipe.update(_schedule(cfg))
        recipe.update(_sides(cfg))
        hooks = [hook.type for hook in cfg.get('custom_hooks', [])]
        recipe['precise BN'] = _yes('mmloc.PreciseBNHook' in hooks)
    return recipe


def _yes(condition: bool) -> str:
    return 'yes' if condition else 'no'


def _model(model: dict) -> dict[str, str]:
    """Norms, frozen stages, colours and strides."""
    backbone, images = model.backbone, model.get('data_preprocessor') or {}
    roi_head = model.get('roi_head') or {}
    parts = {
        'backbone': backbone,
        'neck': model.get('neck'),
        'shared head': roi_head.get('shared_head'),
        'box head': roi_head.get('bbox_head'),
        'mask head': roi_head.get('mask_head'),
    }
    norms: dict[str, list[str]] = {}
    for name, part in parts.items():
        if part and part.get('norm_cfg'):
            norms.setdefault(part.norm_cfg.type, []).append(name)
    frozen = backbone.get('frozen_stages', -1)
    rgb = images.get('bgr_to_rgb', images.get('to_rgb'))
    return {
        'norm': '; '.join(f'{norm}: {", ".join(names)}'
                          for norm, names in norms.items()) or '-',
        'extra norm': ', '.join(
            name for name, part in parts.items()
            if part and 'ExtraNorm' in part.get('type', '')) or 'no',
        'frozen': 'nothing' if frozen < 0 else f'stem and {frozen} stages',
        'images': f'{"RGB" if rgb else "BGR"}, std {max(images.std):g}',
        'stride in': '1x1' if backbone.get('style') == 'caffe' else '3x3',
    }


def _schedule(cfg: Config) -> dict[str, str]:
    """Length, steps, batch and optimizer."""
    length = cfg.train_cfg.get('max_iters')
    unit = 'iterations' if length else 'epochs'
    length = length or cfg.train_cfg.max_epochs
    schedulers = {item.type: item for item in cfg.param_scheduler}
    warmup = schedulers.get('LinearLR') or schedulers.get('ConstantLR')
    steps = schedulers.get('MultiStepLR')
    optim = cfg.optim_wrapper
    paramwise = optim.get('paramwise_cfg') or {}
    return {
        'length': f'{length} {unit}',
        'steps': (' '.join(map(str, steps.milestones)) if steps else
                  'cosine'),
        'warm-up': f'{warmup.end} {unit}' if warmup else 'none',
        'batch': str(cfg.auto_scale_lr.base_batch_size),
        'lr': f'{optim.optimizer.lr:g}',
        'weight decay': f'{optim.optimizer.weight_decay:g}',
        'norm decay': _yes(paramwise.get('norm_decay_mult', 1.) != 0),
    }


def _sides(cfg: Config) -> dict[str, str]:
    """Sides of the images, in pixels."""
    train, test = (_pipeline(cfg[f'{split}_dataloader'].dataset)
                   for split in ('train', 'test'))
    sides = {
        'train sides': next(filter(None, map(_side, train)), '-'),
        'test side': next(filter(None, map(_side, test)), '-')
    }
    crops = [step.crop_size for step in test if step.type == 'CenterCrop']
    return dict(sides, **({'test side': str(crops[0])} if crops else {}))


def _side(step: dict) -> str | None:
    """The shorter sides that a step of a pipeline gives."""
    if step.type == 'RandomChoiceResize':
        shorts = sorted(min(scale) for scale in step.scales)
        gaps = {b - a for a, b in pairwise(shorts)}
        return (f'{shorts[0]}-{shorts[-1]} by {gaps.pop()}'
                if len(gaps) == 1 else ' '.join(map(str, shorts)))
    if step.type == 'Resize':
        return str(min(step.scale))
    return str(step.scale) if step.type == 'RandomResizedCrop' else None


def _pipeline(dataset: dict) -> list:
    """The pipeline of a data set, or of the first one inside it."""
    while not dataset.get('pipeline'):
        dataset = dataset.get('dataset') or dataset.datasets[0]
    return dataset.pipeline


def _metrics(evaluators: dict | list) -> list[str]:
    if isinstance(evaluators, dict):
        evaluators = [evaluators]
    return [evaluator.type.removeprefix('mmloc.') for evaluator in evaluators]
