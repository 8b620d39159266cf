# Copyright (c) mmloc contributors. All rights reserved.
"""mmdet's metrics of LVIS and Cityscapes, which need packages of their own.

The evaluators of both data sets use names that numpy has dropped, and no
release of theirs does without: ``np.float`` (numpy 1.24) in ``lvis`` 0.5.3,
``np.in1d`` (numpy 2.4) in ``cityscapesscripts`` 2.3. Numpy gets the two names
back for the time of a computation and no longer: the evaluators stay the
published ones, and to other code numpy never looks like an older one.
"""
from importlib.util import find_spec
from unittest import mock

import numpy as np
from mmdet.evaluation import metrics

from mmloc.registry import METRICS

_with_dropped_names = mock.patch.multiple(
    np, create=True, float=float, in1d=np.isin)


@METRICS.register_module()
class LVISMetric(metrics.LVISMetric):
    """AP of LVIS by the package ``lvis``, of boxes and of masks.

    Besides AP, AP50 and AP75, that of small, medium and large objects (s, m,
    l) and of rare, common and frequent classes (r, c, f).

    Args:
        *args: See :class:`mmdet.evaluation.LVISMetric`.
        **kwargs: Likewise.

    Raises:
        ModuleNotFoundError: If ``lvis`` is not installed.
    """

    def __init__(self, *args, **kwargs) -> None:
        # Without its needs: opencv-python would overwrite another flavour.
        _check_installed('lvis', '--no-deps lvis')
        super().__init__(*args, **kwargs)

    @_with_dropped_names
    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics, see :class:`mmdet.evaluation.LVISMetric`."""
        return super().compute_metrics(results)


@METRICS.register_module()
class CityScapesMetric(metrics.CityScapesMetric):
    """AP of Cityscapes' masks by the package ``cityscapesscripts``.

    Args:
        *args: See :class:`mmdet.evaluation.CityScapesMetric`.
        **kwargs: Likewise.

    Raises:
        ModuleNotFoundError: If ``cityscapesscripts`` is not installed.
    """
    # Read when the object is deleted, also one that could not be made.
    tmp_dir = None

    def __init__(self, *args, **kwargs) -> None:
        # From 2 on, it needs PyPI's old `typing`, which can hide Python's own.
        _check_installed('cityscapesscripts', "'cityscapesscripts<2'")
        super().__init__(*args, **kwargs)

    @_with_dropped_names
    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute mAP (of IoU 0.5 to 0.95) and AP@50."""
        return super().compute_metrics(results)


def _check_installed(package: str, wanted: str) -> None:
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f'this evaluation needs the package {package}, which is not '
            f'installed; run "pip install {wanted}"')
