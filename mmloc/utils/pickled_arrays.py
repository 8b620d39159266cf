# Copyright (c) mmloc contributors. All rights reserved.
"""Numpy arrays of pickles by strangers, rebuilt without numpy's own calls.

What numpy's pickles call can be called with anything: an array of objects
over bytes of the file's author makes Python follow their pointers, and so
does a dtype whose state is set anew. Here stand-ins take these names while a
pickle is read. They accept numbers and text, and check all sizes.
"""
import pickle
import re
from typing import Any

import numpy as np


def refusal(name: str, reason: str) -> pickle.UnpicklingError:
    """The error of a pickle that misuses a name.

    Args:
        name (str): What it calls, such as 'numpy.ndarray'.
        reason (str): What is wrong with that.

    Returns:
        pickle.UnpicklingError: In the words in which torch refuses a name.
    """
    return pickle.UnpicklingError(
        f'GLOBAL {name} {reason}: do not load a file that you do not trust')


class PickledDtype:
    """Stands in for :class:`numpy.dtype`.

    Args:
        code (str): Kind and bytes of an item, such as 'f4'.
        flags: Ignored, as numpy always writes the same.
    """

    def __init__(self, code: str, *flags: Any) -> None:
        if not (isinstance(code, str)
                and re.fullmatch(r'[biufc]\d{1,2}|[SU]\d{1,9}', code)):
            raise refusal('numpy.dtype', f'of {code!r} is no number or text')
        self._value = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        """Take the byte order and nothing else."""
        if state[1] in ('<', '>'):
            self._value = self._value.newbyteorder(state[1])

    def view(self, shape: Any, data: Any, order: str = 'C') -> np.ndarray:
        """See bytes as an array.

        Args:
            shape (tuple[int]): Of the array.
            data (bytes | bytearray | str): Its items; text of Python 2 as
                latin1.
            order (str): 'C' or 'F'. Defaults to 'C'.

        Returns:
            np.ndarray: The array, which shares the memory of ``data``.

        Raises:
            ValueError: If shape and bytes do not agree.
        """
        if isinstance(data, str):
            data = data.encode('latin1')
        if not isinstance(data, (bytes, bytearray)):
            raise refusal('numpy.ndarray', f'of a {type(data).__name__}')
        array = np.ndarray(shape, self._value, data, order=order)
        if array.nbytes != len(data):
            raise ValueError(f'an array of {array.nbytes} bytes has '
                             f'{len(data)} in the file')
        return array


class PickledArray(np.ndarray):
    """Stands in for :class:`numpy.ndarray`, and is pickled as one."""

    def __new__(cls, *args: Any) -> 'PickledArray':
        # What numpy itself asks for; the rest is in the state.
        if args not in (((0, ), 'b'), ((0, ), b'b')):
            raise refusal('numpy.ndarray', 'is called on memory')
        return super().__new__(cls, (0, ), 'b')

    def __setstate__(self, state: tuple) -> None:
        """Take the items, once: others may look at the memory later."""
        if vars(self):
            raise refusal('numpy.ndarray', 'is filled twice')
        self.filled = True
        *_, shape, dtype, fortran, data = state
        array = _checked(dtype).view(shape, data, 'F' if fortran else 'C')
        super().__setstate__(array.__reduce__()[2])

    def __reduce__(self) -> tuple:
        return self.view(np.ndarray).__reduce__()


def _checked(dtype: Any) -> PickledDtype:
    if type(dtype) is not PickledDtype:
        raise refusal('numpy.dtype', f'is a {type(dtype).__name__}')
    return dtype


def _reconstruct(owner: Any, *args: Any) -> PickledArray:
    if owner is not PickledArray:
        raise refusal('numpy.ndarray', f'is a {owner!r}')
    return PickledArray(*args)


def _scalar(dtype: PickledDtype, data: Any) -> np.generic:
    return _checked(dtype).view((), data)[()]


def _frombuffer(data: Any, dtype: PickledDtype, shape: Any, order: str,
                axis_order: Any = None) -> np.ndarray:
    # 'K' is of numpy 2.3 and newer: the axes as they are in memory.
    array = _checked(dtype).view(shape, data, 'F' if order == 'F' else 'C')
    if axis_order is not None:
        array = array.transpose(axis_order)
    return array.copy(order='K')


#: The stand-ins by the names in pickles of numpy 1 and of numpy 2.
STAND_INS = {
    'numpy.ndarray': PickledArray,
    'numpy.dtype': PickledDtype,
    **{
        f'numpy.{core}.{name}': function
        for core in ('core', '_core') for name, function in (
            ('multiarray._reconstruct', _reconstruct),
            ('multiarray.scalar', _scalar),
            ('numeric._frombuffer', _frombuffer))
    },
}
