# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
from mmcv.transforms import BaseTransform

from mmloc.registry import TRANSFORMS


@TRANSFORMS.register_module()
class IncludeDifficult(BaseTransform):
    """Train on boxes that the annotations mark as to be ignored.

    VOC marks objects as difficult. mmdet takes such boxes out of the targets,
    while detectron2 trains on them and leaves them out of the evaluation
    only, and so do results that were published with it. For training
    pipelines of VOC; the crowds of COCO are nobody's target.

    Source: ``load_voc_instances`` of detectron2.

    **Required Keys:** gt_ignore_flags (bool, (n,)).

    **Modified Keys:** gt_ignore_flags, all False.
    """

    def transform(self, results: dict) -> dict:
        """Clear the marks.

        Args:
            results (dict): Result dict.

        Returns:
            dict: Result dict with every box among the targets.
        """
        results['gt_ignore_flags'] = np.zeros_like(results['gt_ignore_flags'])
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}()'
