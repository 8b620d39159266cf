# Copyright (c) mmloc contributors. All rights reserved.
"""The shipped pretraining data of SoCo, from image files to batches."""
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

from mmloc.proposals import write_proposals
from mmloc.visualization.drawing import view_pixels

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'soco'
FPN = 'soco_r50_fpn_16xb128-coslr-{}_in1k'
STAR = 'soco-star_r50_fpn_16xb128-coslr-400e_in1k'
C4 = 'soco_r50_c4_16xb128-coslr-{}_in1k'
#: Area of the second and third view's crop, side of the third, and cutout.
PUBLISHED = {
    FPN.format('100e'): ((0.5, 1.0), 112, True),
    FPN.format('400e'): ((0.5, 1.0), 112, False),
    STAR: ((0.5, 1.0), 192, False),
    C4.format('100e'): ((0.6, 1.0), None, True),
    C4.format('400e'): ((0.6, 1.0), None, True),
}
#: A white rectangle in a black image of 300 x 200.
BOX = [60, 40, 210, 150]


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def views_of(cfg):
    """The transform that makes the views."""
    return cfg.train_dataloader.dataset.pipeline[-1]


def keep(cfg, *types):
    """Leave of what follows the choice of boxes only some transforms."""
    for view in views_of(cfg).views.values():
        view.then = [step for step in view.then if step.type in types]


def build(cfg, folder):
    """Build the dataset of a config on one image with one proposal."""
    img = np.zeros((200, 300, 3), np.uint8)
    x1, y1, x2, y2 = BOX
    img[y1:y2, x1:x2] = 255
    cv2.imwrite(str(folder / '0.png'), img)
    write_proposals(
        str(folder / 'p.mmprop'), [('0.png', 300, 200, np.float32([BOX]))],
        dict())
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(folder), data_prefix=dict(img=''))
    dataset.pipeline[1].proposal_file = str(folder / 'p.mmprop')
    return DATASETS.build(dataset)


@pytest.mark.parametrize(
    'name', [FPN.format('100e'), STAR, C4.format('100e'), 'soco_r18_fpn_toy'])
def test_boxes_enclose_the_pixels_of_their_proposal(name, tmp_path):
    cfg = load(name)
    keep(cfg, 'mmloc.RandomFlip', 'mmloc.PackRegionInputs')
    # Continuous boxes end where their pixels do.
    views_of(cfg).select.update(jitter=None, inclusive=False)
    dataset = build(cfg, tmp_path)
    flips = []
    for _ in range(12):
        sample = dataset[0]
        for view, data_sample in sample['data_samples'].items():
            instances = data_sample.gt_instances
            ys, xs = np.nonzero(view_pixels(sample, view)[..., 0] > 127)
            white = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            boxes = instances.bboxes.numpy()
            np.testing.assert_allclose(boxes, [white] * len(boxes), atol=1)
            # The only proposal, repeated for each pair of the view.
            assert instances.labels.unique().tolist() == [1]
            assert instances.pairs.bincount().unique().tolist()[-1] == 4
            assert data_sample.num_redrawn == 0
        flips.append([x.flip for x in sample['data_samples'].values()])
    assert len(np.unique(flips, axis=0)) > 2


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_views(name):
    crop, third, _ = PUBLISHED[name]
    views, select = views_of(load(name)).views, views_of(load(name)).select
    whole, = views.view1.transforms
    assert (whole.type, whole.scale) == ('mmloc.Resize', (224, 224))
    sides = dict(view2=224) if third is None else dict(view2=224, view3=third)
    for view, side in sides.items():
        step, = views[view].transforms
        assert step.type == 'mmloc.RandomResizedCrop'
        assert step.crop_ratio_range == crop
        assert step.scale == side
        assert views[view].get('source') is None
    pairs = [dict(views=('view1', view)) for view in sides]
    if name == STAR:
        step, = views.view4.transforms
        assert views.view4.source == 'view2'
        assert step.scale == (112, 112)
        pairs.append(dict(views=('view1', 'view4'), same_as=0))
    assert select.pairs == pairs
    assert len(views) == len(pairs) + 1
    assert select.num == 4
    jitter = None if third is None else dict(view1=dict(prob=.5, ratio=.1))
    assert select.get('jitter') == jitter
    built = TRANSFORMS.build(views_of(load(name)))
    assert built.max_tries == 5
    assert built.select.min_common == 2
    assert built.select.inclusive


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_colours(name):
    jitter = dict(
        type='mmloc.ColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        prob=0.8)
    for view, cfg in views_of(load(name)).views.items():
        steps = {step.type: step for step in cfg.then}
        probs = {
            kind: step.prob
            for kind, step in steps.items() if 'prob' in step
        }
        expected = {
            'mmloc.ColorJitter': 0.8,
            'mmloc.RandomGrayscale': 0.2,
            'mmloc.GaussianBlur': 1.0 if view == 'view1' else 0.1,
            'mmloc.RandomFlip': 0.5
        }
        if view != 'view1':
            expected['mmloc.Solarize'] = 0.2
            assert steps['mmloc.Solarize'].thr == 128
        if view != 'view1' and PUBLISHED[name][2]:
            expected['mmloc.CutoutInBoxes'] = 0.5
            assert steps['mmloc.CutoutInBoxes'].area == (0.1, 0.3)
            # Behind the colours, or the squares would be coloured.
            assert list(steps)[-2:] == [
                'mmloc.CutoutInBoxes', 'mmloc.PackRegionInputs'
            ]
        assert probs == expected
        assert steps['mmloc.ColorJitter'] == jitter
        blur = TRANSFORMS.build(steps['mmloc.GaussianBlur'])
        radii = [blur.random_magnitude() for _ in range(1000)]
        # Uniform from 0.1 to 2, within five standard errors.
        assert 0.1 <= min(radii) < max(radii) <= 2
        assert abs(np.mean(radii) - 1.05) < 5 * 1.9 / np.sqrt(12 * 1000)


def test_cut_squares_are_normalised_to_almost_zero(tmp_path):
    cfg = load(FPN.format('100e'))
    keep(cfg, 'mmloc.CutoutInBoxes', 'mmloc.PackRegionInputs')
    dataset = build(cfg, tmp_path)
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    batch = preprocess(pseudo_collate([dataset[0] for _ in range(4)]), True)
    # Black and white are far from the mean.
    cut = {
        view: (abs(imgs) < 0.01).all(1).any().item()
        for view, imgs in batch['inputs'].items()
    }
    assert cut == dict(view1=False, view2=True, view3=True)
    assert batch['inputs']['view3'].shape == (4, 3, 112, 112)
    assert len(batch['data_samples']['view1'][3].gt_instances) == 8


def test_third_view_as_the_paper_words_it(tmp_path):
    """The second view downsampled, by the lines that soco.py gives."""
    cfg = load(FPN.format('100e'))
    keep(cfg, 'mmloc.PackRegionInputs')
    multi_view = views_of(cfg)
    multi_view.views.view3.update(
        source='view2', transforms=[dict(cfg.whole, scale=(112, 112))])
    multi_view.select.pairs[1]['same_as'] = 0
    sample = build(cfg, tmp_path)[0]
    second, third = (
        view_pixels(sample, view) for view in ('view2', 'view3'))
    np.testing.assert_array_equal(
        mmcv.imresize(second, (112, 112), backend='pillow'), third)
    second, third = (sample['data_samples'][view].gt_instances.bboxes.tensor
                     for view in ('view2', 'view3'))
    assert (second == 2 * third).all()


#: Height and width of images.
SIZES = (200, 300), (150, 90), (260, 310)


def batch_of(name, folder, **multi_view):
    """Two samples of each image, and the next of NumPy's draws."""
    cfg = load(name)
    views_of(cfg).update(multi_view)
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(folder), data_prefix=dict(img=''))
    dataset.pipeline[1].proposal_file = str(folder / 'p.mmprop')
    dataset = DATASETS.build(dataset)
    np.random.seed(0)
    batch = pseudo_collate([dataset[i % 3] for i in range(6)])
    return batch, MODELS.build(cfg.model.data_preprocessor), np.random.rand()


@pytest.mark.parametrize('name', PUBLISHED)
def test_views_are_the_same_whoever_makes_them(name, tmp_path):
    """Worker, data preprocessor, or either by the size of the image."""
    rng = np.random.RandomState(0)
    for i, size in enumerate(SIZES):
        cv2.imwrite(str(tmp_path / f'{i}.png'),
                    rng.randint(0, 256, (*size, 3), np.uint8))
    boxes = np.float32([[9, 8, 60, 70], [20, 5, 80, 90]])
    write_proposals(
        str(tmp_path / 'p.mmprop'),
        [(f'{i}.png', *size[::-1], boxes) for i, size in enumerate(SIZES)],
        dict())
    results = []
    for limit in (0, 2**20, 30000):
        batch, preprocess, state = batch_of(
            name, tmp_path, max_deferred=limit)
        for i, size in enumerate(SIZES):
            sources = {id(view[i]) for view in batch['inputs'].values()}
            # The second and fourth view of SoCo* share pixels of their own.
            num = 1 + (name == STAR) if size[0] * size[1] <= limit else len(
                batch['inputs'])
            assert len(sources) == num
        results.append((preprocess(batch, True), state))
    (made, state), *others = results
    for batch, other_state in others:
        assert other_state == state
        for view, images in made['inputs'].items():
            assert torch.equal(batch['inputs'][view], images)
            for a, b in zip(batch['data_samples'][view],
                            made['data_samples'][view]):
                assert a.metainfo == b.metainfo
                for key, value in b.gt_instances.items():
                    assert torch.equal(a.gt_instances[key], value)


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_optimisation(name):
    cfg = load(name)
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper',
        optimizer=dict(
            type='mmloc.LARS',
            lr=8.0,
            momentum=0.9,
            weight_decay=1e-5,
            trust_coefficient=0.001,
            eps=1e-8))
    assert cfg.auto_scale_lr.base_batch_size == 16 * 128
    warmup, cosine = cfg.param_scheduler
    epochs = int(name.split('-')[-1].split('e')[0])
    assert cfg.train_cfg.max_epochs == cosine.end == epochs
    assert (warmup.start_factor, warmup.end, cosine.begin) == (0.01, 10, 10)
    assert (cosine.T_max, cosine.eta_min) == (epochs - 10, 1e-6)
    assert (cfg.model.target.momentum, cfg.model.target.end_momentum) == (
        0.01, 0.)
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.train_dataloader.drop_last
    proposals = cfg.train_dataloader.dataset.pipeline[1]
    assert proposals.on_empty == 'whole_image'
    assert cfg.model.head.thresholds == (None if 'c4' in name else
                                         (48, 96, 192, 224))


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem)
def test_model_and_data_have_the_same_pairs(path):
    cfg = Config.fromfile(path)
    dataset = cfg.train_dataloader.dataset
    for one in dataset.get('datasets', [dataset]):
        pairs = one.pipeline[-1].select.pairs
        assert [tuple(pair['views']) for pair in pairs
                ] == [tuple(pair) for pair in cfg.model.pairs]
