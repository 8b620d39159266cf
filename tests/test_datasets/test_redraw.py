# Copyright (c) mmloc contributors. All rights reserved.
import logging

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform

from mmloc.datasets import MixImagesDataset, UnlabeledImageDataset
from mmloc.datasets.transforms import LoadImage, PackRegionInputs


class KeepBright(BaseTransform):
    """Give up all images but the last, which is not black."""

    def transform(self, results):
        return results if results['img'].any() else None


@pytest.fixture
def source(tmp_path):
    for i in range(4):
        cv2.imwrite(
            str(tmp_path / f'{i}.png'), np.full((4, 6, 3), i // 3, np.uint8))
    return dict(data_root=str(tmp_path))


def test_counts_what_is_given_up(source, caplog):
    dataset = UnlabeledImageDataset(
        pipeline=[LoadImage(), KeepBright(), PackRegionInputs()], **source)
    noted = []
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            data_sample = dataset[0]['data_samples']
            assert data_sample.img_id == 3
            noted.append(data_sample.num_redrawn)
    # Index 0 is of no use, and then three of four are not.
    assert min(noted) == 1 < max(noted)
    assert dataset.num_redrawn == sum(noted)
    assert dataset[3]['data_samples'].num_redrawn == 0
    assert dataset.num_redrawn == sum(noted)


def test_every_view_is_told(source):
    class TwoViews(BaseTransform):

        def transform(self, results):
            packed = [PackRegionInputs()(dict(results)) for _ in range(2)]
            return {
                key: dict(zip('ab', (view[key] for view in packed)))
                for key in packed[0]
            }

    dataset = MixImagesDataset(
        UnlabeledImageDataset(pipeline=[LoadImage()], **source),
        [KeepBright(), TwoViews()],
        max_refetch=100)
    samples = dataset[0]['data_samples']
    assert samples['a'].num_redrawn == samples['b'].num_redrawn > 0


def test_gives_up_with_the_reason(source):
    kwargs = dict(max_refetch=2, **source)
    dataset = UnlabeledImageDataset(pipeline=[lambda _: None], **kwargs)
    with pytest.raises(RuntimeError, match=r'None for 3 samples .*proposals'):
        dataset[0]
    assert dataset.num_redrawn == 3


def test_test_mode_does_not_redraw(source):
    dataset = UnlabeledImageDataset(
        pipeline=[LoadImage(), KeepBright()], test_mode=True, **source)
    assert dataset[3]['img_id'] == 3
    with pytest.raises(Exception, match='should not get'):
        dataset[0]
