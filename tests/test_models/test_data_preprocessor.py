# Copyright (c) mmloc contributors. All rights reserved.
import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmloc.models.data_preprocessors.photometric import augment
from mmloc.photometric import batched, stack, unchanged
from mmloc.registry import MODELS
from mmloc.resampling import batched as batched_resampling

from .test_insloc import build, make_batch

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
DEFER = dict(type='mmloc.DeferPhotometric')
PHOTOMETRIC = [
    dict(
        type='RandomApply',
        transforms=[
            dict(
                type='mmloc.ColorJitter',
                brightness=0.4,
                contrast=0.4,
                saturation=0.2,
                hue=0.1)
        ],
        prob=0.8),
    dict(type='mmloc.RandomGrayscale', prob=0.2),
    dict(
        type='mmloc.GaussianBlur',
        magnitude_range=(0.1, 2.0),
        magnitude_std='inf',
        prob=0.5),
    dict(type='mmloc.Solarize', thr=128, prob=0.2),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmloc.CutoutInBoxes', prob=0.5, area=(0.1, 0.3)),
    dict(
        type='mmloc.PackRegionInputs',
        meta_keys=('img_shape', 'flip', 'img_path')),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def preprocessor(**kwargs):
    return MODELS.build(
        dict(
            type='mmdet.MultiBranchDataPreprocessor',
            data_preprocessor=dict(
                dict(
                    type='mmloc.PhotometricDataPreprocessor',
                    mean=MEAN,
                    std=STD,
                    bgr_to_rgb=True), **kwargs)))


def photo(seed, side=32):
    """Blobs of colour, as in photos."""
    noise = torch.from_numpy(
        np.random.RandomState(seed).rand(1, 3, 4, 4).astype(np.float32))
    smooth = torch.nn.functional.interpolate(
        noise, size=side, mode='bilinear', align_corners=False)
    return (smooth[0].permute(1, 2, 0) * 255).byte().numpy()


def batch(defer, seed=0, num=6):
    """Two views of some images, as the loader sends them."""
    pipeline = Compose([DEFER] * defer + PHOTOMETRIC)
    np.random.seed(seed)
    samples = []
    for i in range(num):
        views = [
            pipeline(
                dict(
                    img=photo(i),
                    img_shape=(32, 32),
                    gt_bboxes=HorizontalBoxes(
                        torch.tensor([[2., 3., 20., 22.]] * 3)),
                    gt_bboxes_labels=np.arange(3))) for _ in range(2)
        ]
        samples.append({
            key: dict(view1=views[0][key], view2=views[1][key])
            for key in views[0]
        })
    return pickle.loads(pickle.dumps(pseudo_collate(samples)))


def test_deferred_gives_what_the_loader_gives():
    now, later = (preprocessor()(batch(defer), training=True)
                  for defer in (False, True))
    for view in ('view1', 'view2'):
        assert later['inputs'][view].shape == (6, 3, 32, 32)
        assert torch.equal(now['inputs'][view], later['inputs'][view])
        for a, b in zip(*(out['data_samples'][view] for out in (now, later))):
            assert set(a.metainfo_keys()) == set(b.metainfo_keys())
            assert torch.equal(a.gt_instances.bboxes, b.gt_instances.bboxes)
    plain = MODELS.build(
        dict(
            type='mmdet.DetDataPreprocessor',
            mean=MEAN,
            std=STD,
            bgr_to_rgb=True))
    undone = batch(True)['inputs']['view1']
    undone = plain(dict(inputs=undone, data_samples=None))['inputs']
    assert (undone - later['inputs']['view1']).abs().mean() > 0.1


def test_other_devices_give_what_the_cpu_gives():
    data = batch(True, num=20)
    images = torch.stack(data['inputs']['view1'])
    vectors = stack([x.photometric for x in data['data_samples']['view1']],
                    (32, 32), [x.flip for x in data['data_samples']['view1']])
    expected = torch.stack(batch(False, num=20)['inputs']['view1']).float()
    difference = (batched.augment(images, vectors) - expected).abs()
    assert difference.mean() < 1e-3
    assert difference.quantile(0.999) == 0


def views(deferred, limit=2**20, num=12):
    """Two views of photos of two sizes, as the loader sends them."""
    then = [dict(step, type=step['type'].replace(
        'RandomFlip', 'mmloc.RandomFlip')) for step in PHOTOMETRIC]
    crop = dict(type='mmloc.RandomResizedCrop', scale=(32, 24))
    pairs = [dict(views=('view1', 'view2'))]
    pipeline = Compose([DEFER] * deferred + [
        dict(
            type='mmloc.MultiView',
            views={
                name: dict(transforms=[crop], then=then)
                for name in ('view1', 'view2')
            },
            select=dict(type='mmloc.SelectMatches', num=3, pairs=pairs),
            max_deferred=limit)
    ])
    np.random.seed(0)
    return pseudo_collate([
        pipeline(
            dict(
                img=photo(i, 48 + i % 2),
                img_shape=(48 + i % 2, ) * 2,
                proposals=np.float32([[10, 10, 40, 40]]))) for i in range(num)
    ])


@pytest.mark.parametrize('limit', [48**2, 2**20])
def test_views_that_are_still_to_be_cut_out(limit):
    """Of all images and of half of them, on the CPU and elsewhere."""
    data, expected = views(True, limit), views(False)
    samples = data['data_samples']['view2']
    plans = [x.get('resampling') for x in samples]
    assert sum(map(bool, plans)) == (12 if limit == 2**20 else 6)
    images = batched_resampling.resample(data['inputs']['view2'], plans)
    vectors = stack([x.photometric for x in samples], (24, 32),
                    [x.flip for x in samples])
    difference = (batched.augment(images, vectors) - torch.stack(
        expected['inputs']['view2']).float()).abs()
    assert difference.mean() < 1e-3
    assert difference.quantile(0.999) == 0
    data, expected = (
        preprocessor(pad_size_divisor=20)(x, True) for x in (data, expected))
    for view, images in expected['inputs'].items():
        assert images.shape == (12, 3, 40, 40)
        assert torch.equal(data['inputs'][view], images)
        assert [x.metainfo for x in data['data_samples'][view]] == [
            x.metainfo for x in expected['data_samples'][view]]
        assert samples[0].photometric is not None  # the loader's stay


def test_views_of_several_sizes_are_not_left_as_they_are():
    """Also where somebody has taken the colours out."""
    data = {key: value['view1'] for key, value in views(True).items()}
    for sample in data['data_samples']:
        del sample.photometric
    assert data['data_samples'][0].resampling
    data['inputs'][1] = torch.zeros(3, 8, 9, dtype=torch.uint8)
    del data['data_samples'][1].resampling
    with pytest.raises(ValueError, match='have the sizes'):
        preprocessor().data_preprocessor(data)


def test_nothing_waits_for_the_device():
    """Tensors without values fail wherever the host asks for one."""
    data = views(True)
    samples = data['data_samples']['view1']
    vectors = stack([x.photometric for x in samples], (24, 32),
                    [x.flip for x in samples])
    out = augment([x.to('meta') for x in data['inputs']['view1']],
                  [x.get('resampling') for x in samples], vectors)
    assert out.is_meta
    assert out.shape == (12, 3, 24, 32)


def test_changed_views_may_be_floats():
    data, expected = views(True), views(True)
    data['inputs'] = {
        view: [image * 1. for image in images]
        for view, images in data['inputs'].items()
    }
    data, expected = (preprocessor()(x, True) for x in (data, expected))
    for view, images in expected['inputs'].items():
        # Without rounding between crop and colours.
        assert (data['inputs'][view] - images).abs().mean() < 0.02


def test_draws_of_the_two_ways_have_one_distribution():
    """Independent draws; two runs of the loader's way tell the noise."""
    num = 120

    def statistics(images):
        levels = images.flatten(1).float()
        histogram = torch.stack([
            torch.histc(channel, 16, 0, 256)
            for channel in images.float().unbind(1)
        ]).flatten()
        return levels.mean(1), levels.std(1), histogram / histogram.sum()

    def loader(seed):
        views = batch(False, seed, num)['inputs']
        return statistics(torch.stack(views['view1'] + views['view2']))

    def device(seed):
        data = batch(True, seed, num)
        images, samples = (
            list(chain(*data[key].values()))
            for key in ('inputs', 'data_samples'))
        return statistics(
            batched.augment(
                torch.stack(images),
                stack([x.photometric for x in samples], (32, 32),
                      [x.flip for x in samples])))

    first, second, ours = loader(1), loader(2), device(3)
    for a, b in zip(first[:2], ours[:2]):
        error = ((a.var() + b.var()) / len(a)).sqrt()
        assert (a.mean() - b.mean()).abs() < 4 * error
        assert 0.8 < a.std() / b.std() < 1.25
    noise = (first[2] - second[2]).abs().sum()
    assert (first[2] - ours[2]).abs().sum() < 2 * noise
    # It would be seen if nothing was done.
    raw = statistics(torch.stack(batch(True, 1, num)['inputs']['view1']))
    assert (first[2] - raw[2]).abs().sum() > 3 * noise


@pytest.mark.parametrize('size', [(32, 32), (20, 28)])
@pytest.mark.parametrize('divisor', [1, 32])
def test_equals_mmdet_without_draws(size, divisor):
    """Images of one size, and of two, which are padded."""
    kwargs = dict(
        mean=MEAN,
        std=STD,
        bgr_to_rgb=True,
        pad_size_divisor=divisor,
        pad_value=7)
    rng = np.random.RandomState(0)
    images = [
        torch.from_numpy(rng.randint(0, 256, (3, *shape)).astype(np.uint8))
        for shape in ((20, 28), size)
    ]
    outputs = []
    for name in ('mmdet.DetDataPreprocessor',
                 'mmloc.PhotometricDataPreprocessor'):
        samples = batch(False, num=2)['data_samples']['view1']
        outputs.append(
            MODELS.build(dict(type=name, **kwargs))(
                dict(inputs=list(images), data_samples=samples)))
    assert torch.equal(outputs[0]['inputs'], outputs[1]['inputs'])
    for a, b in zip(*(out['data_samples'] for out in outputs)):
        assert a.metainfo == b.metainfo
        assert torch.is_tensor(b.gt_instances.bboxes)


def test_takes_a_stacked_batch():
    data = batch(True)
    expected = preprocessor().data_preprocessor(
        {key: value['view1'] for key, value in batch(True).items()})
    stacked = preprocessor().data_preprocessor(
        dict(
            inputs=torch.stack(data['inputs']['view1']),
            data_samples=data['data_samples']['view1']))
    assert torch.equal(stacked['inputs'], expected['inputs'])


def test_the_loaders_samples_stay():
    data = batch(True)
    before = pickle.dumps(data['data_samples']['view1'][0].photometric)
    preprocessor()(data, training=True)
    sample = data['data_samples']['view1'][0]
    assert pickle.dumps(sample.photometric) == before


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda data: data['inputs'].__setitem__(
        0, torch.zeros(3, 8, 9, dtype=torch.uint8)), 'have the sizes'),
    (lambda data: data['data_samples'][0].__delattr__('photometric'),
     '1 of 6 images have no drawn changes'),
])
def test_what_is_refused(spoil, message):
    data = {key: value['view1'] for key, value in batch(True).items()}
    spoil(data)
    with pytest.raises(ValueError, match=message):
        preprocessor().data_preprocessor(data)


def test_images_may_be_floats():
    data = {key: value['view1'] for key, value in batch(True).items()}
    expected = preprocessor().data_preprocessor(dict(data))['inputs']
    data['inputs'] = [image.float() for image in data['inputs']]
    before = [image.clone() for image in data['inputs']]
    ours = preprocessor().data_preprocessor(data)['inputs']
    assert (ours - expected).abs().mean() < 1e-4
    assert all(map(torch.equal, data['inputs'], before))


def test_models_refuse_images_whose_colours_are_still_due():
    """As they are where mmdet's own data preprocessor is used."""
    inputs, samples = make_batch()
    for sample in samples['key']:
        sample.set_metainfo(dict(photometric=unchanged()))
    with pytest.raises(ValueError, match="of 'key' were drawn but not"):
        build()(inputs, samples, mode='loss')
