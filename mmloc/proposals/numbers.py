# Copyright (c) mmloc contributors. All rights reserved.
"""Parameters as plain Python numbers, so that equal ones look equal."""
import math
from numbers import Real
from typing import Any


def plain_number(name: str,
                 value: Any,
                 expected: str,
                 low: float = 0.,
                 whole: bool = False) -> float | int:
    """Check a parameter and drop whatever type it came in.

    Args:
        name (str): Of the parameter, for the message.
        value (Any): A number of Python or numpy.
        expected (str): What is expected, for the message.
        low (float): Smallest value. Defaults to 0.
        whole (bool): Whether it has to be a whole number. Defaults to False.

    Returns:
        float | int: An int if it is to be whole, else a float.

    Raises:
        ValueError: The value is no number, not finite, too small or not
            whole.
    """
    good = isinstance(value, Real) and not isinstance(value, bool)
    if not (good and math.isfinite(value) and value >= low
            and (not whole or value == int(value))):
        raise ValueError(f'{name} is {value!r}, expected {expected}.')
    # 0.0 is added as -0.0 is another text, but not another number.
    return int(value) if whole else float(value) + 0.0
