# Copyright (c) mmloc contributors. All rights reserved.
"""Tell whether a training that was begun is the one that is asked for."""
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmloc.utils.files import atomic_write


def identify(cfg: Config, iters: int) -> dict:
    """Describe all that decides what a training gives.

    Args:
        cfg (Config): Its config; weights to begin from count by their
            content.
        iters (int): Its number of iterations.

    Returns:
        dict: As JSON stores it.
    """
    weights = cfg.get('load_from')
    if weights and '://' not in weights:
        weights = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    known = dict(weights=weights, iters=iters, config=cfg.to_dict())
    return json.loads(json.dumps(known, default=str))


def check_same(path: Path, identity: dict) -> None:
    """Note what a training is, or refuse to go on with another.

    Args:
        path (Path): The note.
        identity (dict): Of :func:`identify`.

    Raises:
        ValueError: If it was begun with other settings.
    """
    if not path.exists():
        with atomic_write(str(path), mode='w') as file:
            json.dump(identity, file, indent=1)
        return
    former, now = map(_flatten, (json.loads(path.read_text()), identity))
    changed = [
        f'{key} was {former.get(key)!r} and is {now.get(key)!r}'
        for key in {**former, **now} if former.get(key) != now.get(key)
    ]
    if changed:
        more = f' (and {len(changed) - 3} more)' if len(changed) > 3 else ''
        raise ValueError(
            f'{str(path.parent)!r} was begun with other settings: '
            f'{"; ".join(changed[:3])}{more}; give the same, or another '
            '--out')


def _flatten(value, key: str = '') -> dict:
    """A dict of dotted keys out of dicts and lists in each other."""
    if isinstance(value, list) and any(
            isinstance(x, Mapping | list) for x in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {key: value}
    parts = [_flatten(x, f'{key}.{name}' if key else str(name))
             for name, x in value.items()]
    return {k: v for part in parts for k, v in part.items()}
