# Copyright (c) mmloc contributors. All rights reserved.
from mmcv.transforms import BaseTransform

from mmloc.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SetKeys(BaseTransform):
    """Note fixed values in every sample, such as which split it is from.

    **Added Keys:** those of the arguments; the packing transform has to be
    told in ``meta_keys`` to keep them.

    Args:
        **values: The keys and their values.
    """

    def __init__(self, **values) -> None:
        self.values = values

    def transform(self, results: dict) -> dict:
        """Note the values.

        Args:
            results (dict): Result dict.

        Returns:
            dict: Result dict with the keys.
        """
        results.update(self.values)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.values})'
