# Copyright (c) mmloc contributors. All rights reserved.
"""The ``.pkl`` files of detectron2: dicts of numpy arrays."""
import pickle
from collections import OrderedDict
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from mmloc.utils.pickled_arrays import STAND_INS


def _encode(text: str, encoding: str) -> bytes:
    """How pickle's oldest protocols keep bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'GLOBAL codec.{encoding}')
    return text.encode(encoding)


#: What rebuilds arrays and dicts.
_ALLOWED = {
    **STAND_INS,
    '_codecs.encode': _encode,
    'collections.OrderedDict': OrderedDict,
}


class _Unpickler(pickle.Unpickler):

    def find_class(self, module: str, name: str) -> Any:
        if f'{module}.{name}' not in _ALLOWED:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')
        return _ALLOWED[f'{module}.{name}']


class _Pickler(pickle.Pickler):

    def reducer_override(self, obj: Any) -> Any:
        """Rebuild arrays by names that every numpy has: numpy 2 itself
        writes one that detectron2's older numpy cannot find."""
        if isinstance(obj, Tensor):
            obj = obj.detach().cpu().numpy()
        if isinstance(obj, np.ndarray):
            return np.ndarray, ((0, ), 'b'), obj.__reduce__()[2]
        return NotImplemented


def load_arrays(file: IO[bytes], trust: bool = False) -> Any:
    """Read a pickle of arrays.

    Args:
        file (IO[bytes]): Open for reading.
        trust (bool): Whether it may ask for anything besides arrays and
            plain containers. Defaults to False.

    Returns:
        Any: The content, with tensors in place of arrays in a ``model``.

    Raises:
        pickle.UnpicklingError: If it asks for more without ``trust``.
    """
    # detectron2 reads by this encoding, too.
    reader = pickle.Unpickler if trust else _Unpickler
    content = reader(file, encoding='latin1').load()
    if isinstance(content, dict) and isinstance(content.get('model'), dict):
        content['model'] = {
            name: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
            for name, x in content['model'].items()
        }
    return content


def dump_arrays(content: Any, file: IO[bytes]) -> None:
    """Write a pickle, with arrays in place of tensors.

    Args:
        content (Any): Plain containers of tensors.
        file (IO[bytes]): Open for writing.
    """
    # Protocol 4: of the Python versions that detectron2 runs on.
    _Pickler(file, protocol=4).dump(content)
