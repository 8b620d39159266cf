# Copyright (c) mmloc contributors. All rights reserved.
"""The shipped pretraining data, from image files to normalised batches."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'insloc'
NAMES = ('insloc_r50_fpn_8xb32-coslr-200e_in1k', 'insloc_r18_fpn_toy')
VIEWS = ('query', 'key')
RGB = (200, 100, 50)
COLOURS = ('mmloc.ColorJitter', 'mmloc.RandomGrayscale', 'mmloc.GaussianBlur')


@pytest.fixture(params=NAMES)
def cfg(request):
    return Config.fromfile(CONFIGS / f'{request.param}.py')


@pytest.fixture
def dataset(cfg, tmp_path):
    """Foreground 0 has one colour, all backgrounds are black; no colours."""
    img = np.zeros((75, 100, 3), np.uint8)
    cv2.imwrite(str(tmp_path / '1.png'), img)
    img[...] = RGB[::-1]
    cv2.imwrite(str(tmp_path / '0.png'), img)
    mix = cfg.train_dataloader.dataset
    mix.exclude_foreground = True
    mix.dataset.update(
        data_root=str(tmp_path), ann_file='', data_prefix=dict(img=''))
    branches, = mix.pipeline
    for view in VIEWS:
        branches[view] = [
            step for step in branches[view] if step.type not in COLOURS
        ]
    return DATASETS.build(mix)


def test_boxes_enclose_the_pasted_pixels(dataset):
    flips, num = [], 120
    for _ in range(num):
        sample = dataset[0]
        boxes = []
        for view in VIEWS:
            instances = sample['data_samples'][view].gt_instances
            boxes.append(instances.bboxes.tensor[0].tolist())
            _, y, x = sample['inputs'][view].nonzero().T.tolist()
            assert boxes[-1] == [min(x), min(y), max(x) + 1, max(y) + 1]
            if view == 'query':
                overlap = bbox_overlaps(instances.bboxes.tensor,
                                        torch.as_tensor(instances.aug_bboxes))
                assert overlap.item() > 0.5
        # Crop, size and place are drawn for each view.
        assert boxes[0] != boxes[1]
        flips.append([sample['data_samples'][view].flip for view in VIEWS])
    # Each of the four combinations has the probability 1/4.
    counts = np.unique(flips, axis=0, return_counts=True)[1]
    assert len(counts) == 4
    assert abs(counts - num / 4).max() < 5 * np.sqrt(num * 3) / 4


def test_batches_are_normalised_rgb(cfg, dataset):
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    batch = preprocess(pseudo_collate([dataset[0] for _ in range(2)]), True)
    expected = (torch.tensor(RGB) - torch.tensor([123.675, 116.28, 103.53])
                ) / torch.tensor([58.395, 57.12, 57.375])
    for view in VIEWS:
        for img, sample in zip(batch['inputs'][view],
                               batch['data_samples'][view]):
            x, y = sample.gt_instances.bboxes[0, :2].int().tolist()
            torch.testing.assert_close(img[:, y, x], expected)


def test_published_colours(cfg):
    branches, = cfg.train_dataloader.dataset.pipeline
    for view in VIEWS:
        paste, jitter, grey, blur, flip, *_ = branches[view]
        assert paste.type == 'mmloc.PasteInstance'
        assert (jitter.type, grey.type, blur.type) == COLOURS
        assert jitter == dict(
            type='mmloc.ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            prob=0.8)
        assert flip.type == 'mmloc.RandomFlip'
        assert [step.prob
                for step in (jitter, grey, blur, flip)] == [.8, .2, .5, .5]
        blur = TRANSFORMS.build(blur)
        radii = [blur.random_magnitude() for _ in range(1000)]
        # Uniform from 0.1 to 2, within five standard errors.
        assert 0.1 <= min(radii) < max(radii) <= 2
        assert abs(np.mean(radii) - 1.05) < 5 * 1.9 / np.sqrt(12 * 1000)
