# Copyright (c) mmloc contributors. All rights reserved.
"""How the loops over pixels and regions become machine code."""
import warnings
from collections.abc import Callable

import numba
import numpy as np


def compiled(function: Callable) -> Callable:
    """Compile a function when it is first called, and keep the code on disk.

    numba puts the code into ``__pycache__`` next to the source, or into the
    user's cache folder where that one cannot be written to, or into the
    folder named by ``NUMBA_CACHE_DIR``. It looks only at the source file of
    the function itself, therefore a compiled function calls no compiled
    function of another file.

    The results do not depend on the compiler: nothing is reordered, and no
    multiplication and addition become one. Threads may call the functions at
    the same time.

    Args:
        function (Callable): Of scalars and arrays, as numba takes it.

    Returns:
        Callable: The compiled function.
    """
    options = dict(nogil=True, error_model='numpy')
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # so numba says that it found no such folder
        warnings.warn(
            'No folder to keep compiled code in can be written to, '
            'so that every process compiles it again; set '
            'NUMBA_CACHE_DIR to a folder of yours.', stacklevel=1)
        return numba.njit(**options)(function)


def read_only(array: np.ndarray) -> np.ndarray:
    """Give an array the type that functions are compiled for.

    They would be compiled once more for each memory layout, and for arrays
    that cannot be written to.

    Args:
        array (np.ndarray): Any.

    Returns:
        np.ndarray: The same values in C order; no copy of an array that is.
    """
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array
