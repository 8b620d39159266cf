# Copyright (c) mmloc contributors. All rights reserved.
"""Weights under other names."""
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_WRAPPER = 'module.'  # of DistributedDataParallel


def rename(state: Mapping[str, Tensor],
           starts: Mapping[str, str],
           inner: Mapping[str, str] | None = None
           ) -> tuple[dict[str, Tensor], list[str]]:
    """Replace how names start, and parts of what follows.

    Args:
        state (Mapping[str, Tensor]): Weights by name.
        starts (Mapping[str, str]): Old starts and new ones. The longest that
            fits counts, so the mapping may be inverted.
        inner (Mapping[str, str], optional): Old and new modules after the
            start. The longest that fits counts. Defaults to none.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The same tensors by their new
        names, and the old names that no start fits.
    """
    parts = _longest_first(inner or {})
    modules = re.compile(rf'(?:^|(?<=\.))(?:{"|".join(parts)})(?=\.)')
    renamed, unknown = {}, []
    for name, tensor in state.items():
        start = start_of(name, starts)
        if start is None:
            unknown.append(name)
            continue
        rest = name[len(start):]
        if inner:
            rest = modules.sub(lambda match: inner[match[0]], rest)
        renamed[starts[start] + rest] = tensor
    return renamed, unknown


def start_of(name: str, starts: Iterable[str]) -> str | None:
    """Find how a name starts.

    Args:
        name (str): The name.
        starts (Iterable[str]): What it may start with.

    Returns:
        str, optional: The longest that fits, None if none does.
    """
    return max(filter(name.startswith, starts), key=len, default=None)


def inverse(names: Mapping[str, str]) -> dict[str, str]:
    """Give the way back of a mapping that loses nothing.

    Args:
        names (Mapping[str, str]): Old and new.

    Returns:
        dict[str, str]: New and old.
    """
    return {new: old for old, new in names.items()}


def missing_names(names: Iterable[str],
                  twins: Iterable[Iterable[str]]) -> list[str]:
    """Find the weights that one of several equal modules lacks.

    Args:
        names (Iterable[str]): Names of weights.
        twins (Iterable[Iterable[str]]): Groups of starts; the same names
            must follow each of a group, and at least one.

    Returns:
        list[str]: The names that are missing.
    """
    twins = [tuple(group) for group in twins]
    endings = {start: set() for group in twins for start in group}
    for name in names:
        start = start_of(name, endings)
        if start is not None:
            endings[start].add(name[len(start):])
    missing = set()
    for group in twins:
        # A module that is nowhere has at least a weight.
        wanted = set().union(*(endings[start] for start in group)) or {
            'weight' if group[0].endswith('.') else ''}
        missing |= {start + ending for start in group
                    for ending in wanted - endings[start]}
    return sorted(missing)


def unwrap(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the start that names get by distributed training.

    Args:
        state (Mapping[str, Tensor]): Weights by name.

    Returns:
        dict[str, Tensor]: The same tensors.
    """
    return {str(name).removeprefix(_WRAPPER): x for name, x in state.items()}


def some(names: Iterable[str]) -> str:
    """Put names into a sentence, three of them at most.

    Args:
        names (Iterable[str]): The names.

    Returns:
        str: The first in the alphabet, and how many more there are.
    """
    names = sorted(names)
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return (', '.join(names[:3]) or 'none') + more


def _longest_first(parts: Iterable[str]) -> list[str]:
    return [re.escape(part) for part in sorted(parts, key=len, reverse=True)]
