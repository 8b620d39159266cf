# Copyright (c) mmloc contributors. All rights reserved.
"""What images a network's weights are used to (pure functions)."""
import ast
from collections.abc import Mapping


def seen_images(cfg: Mapping) -> dict[str, object]:
    """Read off a config how its network sees images.

    Args:
        cfg (Mapping): A config of mmdet, mmpretrain or mmloc.

    Returns:
        dict[str, object]: ``colours`` ('RGB' or 'BGR'), ``mean`` and ``std``
        (list[float]) and ``stride in`` (of bottlenecks, '1x1' or '3x3');
        empty if the config does not normalize images.
    """
    model = cfg.get('model') or {}
    images = model.get('data_preprocessor') or cfg.get(
        'data_preprocessor') or {}
    # Several views have the one for each of them inside.
    images = images.get('data_preprocessor', images)
    if not images.get('mean') or not images.get('std'):
        return {}
    rgb = images.get('bgr_to_rgb', images.get('to_rgb', False))
    style = (model.get('backbone') or {}).get('style')
    return {
        'colours': 'RGB' if rgb else 'BGR',
        'mean': [float(value) for value in images['mean']],
        'std': [float(value) for value in images['std']],
        'stride in': '1x1' if style == 'caffe' else '3x3',
    }


def parse_config(text: str) -> dict:
    """Read a config as mmengine keeps it in checkpoints, without running it.

    Args:
        text (str): ``Config.pretty_text``.

    Returns:
        dict: Its settings; None for what is no plain value.

    Raises:
        SyntaxError: The text is no Python.
    """
    return {
        node.targets[0].id: _value(node.value)
        for node in ast.parse(text).body if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
    }


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
        return {item.arg: _value(item.value) for item in node.keywords}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def compare_images(checkpoint: Mapping, cfg: Mapping) -> str | None:
    """Compare what weights were trained on with what they will see.

    Args:
        checkpoint (Mapping): As mmengine saves it, its config in ``meta``.
        cfg (Mapping): The config that the weights are loaded into.

    Returns:
        str, optional: The difference in words, None if there is none or the
        checkpoint does not tell.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    try:
        theirs = seen_images(parse_config(text)) if isinstance(
            text, str) else {}
    except SyntaxError:  # of another version of mmengine
        return None
    ours = seen_images(cfg)
    if not theirs or not ours or theirs == ours:
        return None
    return '; '.join(f'{name} {theirs[name]}, here {ours[name]}'
                     for name in ours if theirs[name] != ours[name])
