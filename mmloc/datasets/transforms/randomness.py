# Copyright (c) mmloc contributors. All rights reserved.
import inspect
from types import MethodType
from typing import Any

from mmcv.transforms import utils


class cache_randomness(utils.cache_randomness):
    """mmcv's decorator without a copy of an object for each random draw.

    mmcv makes one at every access of a decorated method. It is only needed
    within ``cache_random_params``; outside, the method itself is given.
    """

    @classmethod
    def of(cls, owner: type, name: str) -> 'cache_randomness':
        """Decorate anew a method that mmcv's decorator made slow.

        Args:
            owner (type): A class that has or inherits the method.
            name (str): The method, to be given the same name.

        Returns:
            cache_randomness: For the body of a class derived from ``owner``.
        """
        return cls(inspect.getattr_static(owner, name).func)

    def __get__(self, obj: Any, cls: type) -> Any:
        if getattr(obj, '_cache_enabled', False):
            return super().__get__(obj, cls)
        return MethodType(self.func, obj)
