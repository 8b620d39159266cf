# Copyright (c) mmloc contributors. All rights reserved.
"""Which of the proposed boxes are kept: by side, aspect ratio and size.

Rules have the published names: ``ratio3size0308`` keeps boxes of at least 32
pixels in width and height, no more than 3 times as long as broad, and with
``0.3 <= sqrt(w * h) / sqrt(W * H) <= 0.8``; ``ratio3`` does not look at the
relative size, ``none`` only at the 32 pixels. ``...post`` falls back on the
next weaker one where nothing is left. Any numbers may stand in the names.
"""
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from .numbers import plain_number

_NAME = re.compile(r'ratio(?P<ratio>\d+(?:\.\d+)?)'
                   r'(?:size(?P<low>\d\d)(?P<high>\d\d))?(?P<post>post)?')


def side_at_least(boxes: np.ndarray, side: float) -> np.ndarray:
    """Tell which boxes are no narrower and no lower than a side.

    Args:
        boxes (np.ndarray): ``x1, y1, x2, y2``, (n, 4), in pixels.
        side (float): In pixels.

    Returns:
        np.ndarray: (n, ), bool.
    """
    width, height = _sides(boxes)
    return (width >= side) & (height >= side)


def ratio_at_most(boxes: np.ndarray, ratio: float) -> np.ndarray:
    """Tell which boxes are not much longer than broad, nor the reverse.

    Args:
        boxes (np.ndarray): ``x1, y1, x2, y2``, (n, 4), in pixels.
        ratio (float): Largest ratio of the sides, at least 1.

    Returns:
        np.ndarray: (n, ), bool; False for boxes without a width or height.
    """
    width, height = _sides(boxes)
    with np.errstate(divide='ignore', invalid='ignore'):
        found = width / height
    return (found >= 1 / ratio) & (found <= ratio)


def relative_size_within(boxes: np.ndarray, width: float, height: float,
                         low: float, high: float) -> np.ndarray:
    """Tell which boxes are neither too small nor too large for the image.

    Args:
        boxes (np.ndarray): ``x1, y1, x2, y2``, (n, 4), in pixels.
        width, height (float): Of the image in pixels.
        low, high (float): Smallest and largest square root of a box's area,
            relative to that of the image's.

    Returns:
        np.ndarray: (n, ), bool.
    """
    box_width, box_height = _sides(boxes)
    size = np.sqrt(box_width * box_height) / math.sqrt(width * height)
    return (size >= low) & (size <= high)


@dataclass(frozen=True)
class BoxRule:
    """What a box has to be like to be kept; all limits are inclusive.

    Args:
        min_side (float): Smallest width and height in pixels. Defaults to 32.
        max_ratio (float, optional): Largest ratio of the sides. Defaults to
            None, any.
        min_size (float): Smallest ``sqrt(w * h) / sqrt(W * H)``. Defaults to
            0.
        max_size (float, optional): Largest ``sqrt(w * h) / sqrt(W * H)``.
            Defaults to None, any.

    Numbers of any type become floats, so that equal rules are equal
    wherever they are compared or stored.

    Raises:
        ValueError: A number is out of range, infinite or none.
    """
    min_side: float = 32.
    max_ratio: float | None = None
    min_size: float = 0.
    max_size: float | None = None

    def __post_init__(self) -> None:
        for name, low, expected in (
            ('min_side', 0, 'a number of pixels, 0 or more'),
            ('max_ratio', 1, 'None or a number, 1 or more: the longer side '
             'divided by the shorter'),
            ('min_size', 0, 'a number, 0 or more'),
            ('max_size', 0, 'None or a number, 0 or more')):
            value = getattr(self, name)
            if value is not None or not name.startswith('max'):
                value = plain_number(name, value, expected, low)
                object.__setattr__(self, name, value)
        if self.max_size is not None and self.min_size > self.max_size:
            raise ValueError(f'min_size is {self.min_size!r} and max_size '
                             f'{self.max_size!r}, expected '
                             '0 <= min_size <= max_size.')

    def keeps(self, boxes: np.ndarray, width: float,
              height: float) -> np.ndarray:
        """Tell which boxes are kept.

        Args:
            boxes (np.ndarray): ``x1, y1, x2, y2``, (n, 4), in pixels.
            width, height (float): Of the image in pixels.

        Returns:
            np.ndarray: (n, ), bool.
        """
        high = math.inf if self.max_size is None else self.max_size
        kept = side_at_least(boxes, self.min_side) & relative_size_within(
            boxes, width, height, self.min_size, high)
        if self.max_ratio is not None:
            kept &= ratio_at_most(boxes, self.max_ratio)
        return kept


def parse_rule(rule: str | Mapping | Sequence[Mapping]) -> tuple[BoxRule, ...]:
    """Read a rule by its name or its numbers.

    Args:
        rule (str | Mapping | Sequence[Mapping]): ``'none'``, or a name like
            ``'ratio3'``, ``'ratio3size0308'`` or ``'ratio3size0308post'``,
            ``0308`` meaning 0.3 to 0.8; or the arguments of a
            :class:`BoxRule`; or a list of them, the fall-backs in their
            order.

    Returns:
        tuple[BoxRule]: The rule and its fall-backs.

    Raises:
        ValueError: The name or a number is not valid.
    """
    if isinstance(rule, str):
        return _parse_name(rule)
    rules = [rule] if isinstance(rule, Mapping) else rule
    if not isinstance(rules, Sequence) or not all(
            isinstance(numbers, Mapping) for numbers in rules):
        raise ValueError(f'The rule is {rule!r}, expected a name, a dict of '
                         'numbers or a list of such dicts.')
    known = [field.name for field in fields(BoxRule)]
    for numbers in rules:
        unknown = set(numbers).difference(known)
        if unknown:
            raise ValueError(f'The rule {numbers!r} has {sorted(unknown)}, '
                             f'expected some of {known}.')
    if not rules:
        raise ValueError('The rule is an empty list, expected at least one '
                         'set of numbers; dict(min_side=0) keeps all boxes.')
    return tuple(BoxRule(**numbers) for numbers in rules)


def filter_proposals(
    boxes: np.ndarray,
    width: float,
    height: float,
    rule: str | Mapping | Sequence[Mapping] = 'ratio3size0308post'
) -> np.ndarray:
    """Keep the boxes that a rule, or else its first useful fall-back, keeps.

    Args:
        boxes (np.ndarray): ``x1, y1, x2, y2``, (n, 4), in pixels.
        width, height (float): Of the image in pixels.
        rule (str | Mapping | Sequence[Mapping]): See :func:`parse_rule`.
            Defaults to ``'ratio3size0308post'``.

    Returns:
        np.ndarray: (m, 4), in their order; empty if even the last fall-back
        keeps none.

    Raises:
        ValueError: The rule is not valid.
    """
    for one in parse_rule(rule):
        kept = boxes[one.keeps(boxes, width, height)]
        if len(kept):
            break
    return kept


def _sides(boxes: np.ndarray) -> np.ndarray:
    """Widths and heights, in float64 for ratios as published."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return (boxes[:, 2:] - boxes[:, :2]).T


def _parse_name(name: str) -> tuple[BoxRule, ...]:
    if name == 'none':
        return (BoxRule(), )
    found = _NAME.fullmatch(name)
    if not found:
        raise ValueError(
            f"The rule is {name!r}, expected a name like 'none', "
            "'ratio3', 'ratio3size0308' (0.3 to 0.8 of the image) or "
            "'ratio3size0308post', or the numbers as a dict.")
    by_ratio = BoxRule(max_ratio=float(found['ratio']))
    rules = [by_ratio]
    if found['low']:
        rules.insert(0, BoxRule(
            max_ratio=by_ratio.max_ratio, min_size=int(found['low']) / 10,
            max_size=int(found['high']) / 10))
    return (*rules, BoxRule()) if found['post'] else (rules[0], )
