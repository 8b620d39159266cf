# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes

from mmloc.registry import TRANSFORMS


def test_difficult_boxes_become_targets():
    flags = np.array([False, True, False])
    results = dict(
        img=np.zeros((8, 8, 3), np.uint8), gt_ignore_flags=flags,
        gt_bboxes=HorizontalBoxes(np.tile([0., 0., 4., 4.], (3, 1))),
        gt_bboxes_labels=np.arange(3))
    pack = PackDetInputs(meta_keys=())
    include = TRANSFORMS.build(dict(type='mmloc.IncludeDifficult'))
    assert len(pack(dict(results))['data_samples'].gt_instances) == 2
    sample = pack(include(dict(results)))['data_samples']
    assert sample.gt_instances.labels.tolist() == [0, 1, 2]
    assert len(sample.ignored_instances) == 0
    assert flags.tolist() == [False, True, False]
