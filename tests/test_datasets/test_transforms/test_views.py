# Copyright (c) mmloc contributors. All rights reserved.
import pickle

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import RandomFlip, Resize
from mmdet.structures.bbox import HorizontalBoxes
from PIL import Image

from mmloc.datasets.transforms import (
    DeferPhotometric,
    MultiBranch,
    MultiView,
    PackRegionInputs,
    RandomResizedCrop,
    SelectMatches,
)
from mmloc.resampling import DeferredImage
from mmloc.visualization.drawing import view_pixels

#: A white rectangle on black, of an image of 100 x 80.
BOX = [30, 20, 70, 65]
WHOLE = dict(type='Resize', scale=(64, 64), backend='pillow')
HALF = dict(type='Resize', scale=(32, 32), backend='pillow')
CROP = dict(
    type='mmloc.RandomResizedCrop', scale=64, crop_ratio_range=(.4, .9))
THEN = [
    dict(type='RandomFlip', prob=.5),
    dict(
        type='mmloc.PackRegionInputs', meta_keys=('homography_matrix', 'flip'))
]
VIEWS = dict(
    view1=dict(transforms=[WHOLE], then=THEN),
    view2=dict(transforms=[CROP], then=THEN),
    view3=dict(source='view2', transforms=[HALF], then=THEN))
PAIRS = [dict(views=('view1', 'view2')), dict(views=('view1', 'view3'))]


def sample():
    img = np.zeros((80, 100, 3), np.uint8)
    x1, y1, x2, y2 = BOX
    img[y1:y2, x1:x2] = 255
    return dict(
        img=img,
        img_shape=(80, 100),
        proposals=np.array([BOX], np.float32))


def build(views=VIEWS, pairs=PAIRS, **kwargs):
    select = dict(type='mmloc.SelectMatches', num=1, pairs=pairs)
    return MultiView(views, select, **kwargs)


def white(img):
    """Box of what is white in an image (3, H, W)."""
    ys, xs = np.nonzero(img.float().mean(0).numpy() > 127)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_boxes_and_homography_follow_the_pixels():
    multi_view, flips = build(), []
    for _ in range(40):
        packed = multi_view(sample())
        assert list(packed['inputs']) == list(packed['data_samples'])
        for name, size in (('view1', 64), ('view2', 64), ('view3', 32)):
            img = packed['inputs'][name]
            data_sample = packed['data_samples'][name]
            box = data_sample.gt_instances.bboxes.numpy()[0]
            assert img.shape == (3, size, size)
            np.testing.assert_allclose(box, white(img), atol=.8)
            corners = np.array([BOX[:2], BOX[2:]]).T
            moved = data_sample.homography_matrix @ [*corners, [1, 1]]
            moved = np.sort(moved[:2]).T.flatten().clip(0, size)
            np.testing.assert_allclose(moved, box, atol=1e-3)
        flips.append([x.flip for x in packed['data_samples'].values()])
    # Each view is flipped for itself: all eight combinations come up.
    assert len(np.unique(flips, axis=0)) == 8


def test_a_source_may_stand_behind_its_view():
    # Dumped configs have their keys sorted.
    view = MultiView(
        dict(a=dict(source='b', then=[]), b=dict(then=[])),
        dict(type='mmloc.SelectMatches', pairs=[dict(views=('a', 'b'))]))
    assert list(view.geometry) == ['b', 'a']


def test_source_is_the_other_view_before_its_flip():
    views = dict(VIEWS)
    no_flip = [dict(type='mmloc.PackRegionInputs')]
    views['view2'] = dict(transforms=[CROP], then=[
        dict(type='RandomFlip', prob=1.), *no_flip])
    views['view3'] = dict(source='view2', transforms=[], then=no_flip)
    packed = build(
        views, [PAIRS[0], dict(PAIRS[1], same_as=0)])(sample())
    inputs, samples = packed['inputs'], packed['data_samples']
    assert (inputs['view2'].flip(2) == inputs['view3']).all()
    boxes = samples['view2'].gt_instances.bboxes
    boxes.flip_((64, 64))
    assert (boxes.tensor == samples['view3'].gt_instances.bboxes.tensor).all()


class Write(BaseTransform):
    """Write into the image, as mmdet's and mmpretrain's cutouts do."""

    def transform(self, results):
        results['img'][10:30, 10:30] = 77
        if 'proposals' in results:
            results['proposals'] += 1
        return results


@pytest.mark.parametrize('deferred', [False, True])
@pytest.mark.parametrize('key', ['transforms', 'then'])
@pytest.mark.parametrize('writer', [
    Write(), dict(type='RandomApply', transforms=[Write()], prob=1.)])
def test_a_view_may_be_written_to(deferred, key, writer):
    # Resizes to the size that the image has leave its very pixels.
    crop = dict(CROP, crop_ratio_range=(1., 1.))
    pack = [dict(type='mmloc.PackRegionInputs')]
    plain = dict(
        transforms=[dict(type='mmloc.Resize', scale=(100, 80))], then=pack)
    views = dict(view1=dict(plain, **{key: [writer, *plain[key]]}),
                 view2=plain, view3=dict(transforms=[crop], then=pack))
    given, untouched = (DeferPhotometric(deferred)(sample()) for _ in '12')
    packed = build(views)(given)
    assert given.keys() == untouched.keys()
    for name in given:
        np.testing.assert_array_equal(given[name], untouched[name])
    written = [(view_pixels(packed, view) == 77).any() for view in views]
    assert written == [True, False, False]


def test_images_of_other_kinds_stay_what_they_are():
    seen = []
    branch = MultiBranch(['a'], a=[
        lambda results: seen.append(results['img']) or dict(inputs=0)])
    for img in (Image.new('RGB', (4, 3), (1, 2, 3)), torch.ones(3, 4)):
        branch(dict(img=img))
        assert type(seen[-1]) is type(img)
        assert seen[-1] is not img
        np.testing.assert_array_equal(np.asarray(seen[-1]), np.asarray(img))


@pytest.mark.parametrize('deferred', [False, True])
def test_a_branch_may_be_written_to(deferred):
    pack = dict(type='mmloc.PackRegionInputs', meta_keys=())
    branch = MultiBranch(['a', 'b'], a=[Write(), pack], b=[pack])
    packed = branch(DeferPhotometric(deferred)(
        dict(img=np.zeros((40, 40, 3), np.uint8))))
    assert [(packed['inputs'][x] == 77).any() for x in 'ab'] == [True, False]


@pytest.mark.parametrize('kind', ['MultiView', 'MultiBranch'])
def test_colours_are_made_before_a_transform_that_reads_them(kind):
    """And those that come after it are left to the data preprocessor."""
    colours = [dict(type='mmloc.RandomGrayscale', prob=.5),
               dict(type='mmloc.Solarize', thr=100, prob=.5)]
    then = [*colours[:1], Write(), dict(type='mmloc.RandomFlip', prob=.5),
            *colours, dict(type='mmloc.PackRegionInputs')]
    transform = MultiBranch(['a', 'b'], a=then, b=then) if (
        kind == 'MultiBranch') else build(
            {x: dict(transforms=[CROP], then=then) for x in 'ab'},
            [dict(views=('a', 'b'))])
    noise = np.random.RandomState(0).randint(0, 256, (80, 100, 3), np.uint8)
    for seed in range(8):
        pixels = []
        for deferred in (False, True):
            np.random.seed(seed)
            results = dict(sample(), img=noise)
            if kind == 'MultiBranch':
                results.pop('proposals')
            packed = transform(DeferPhotometric(deferred)(results))
            pixels.append([view_pixels(packed, x) for x in 'ab'])
        np.testing.assert_array_equal(*pixels)


class Attempts(BaseTransform):
    """Note the attempts, give up all before ``success``."""

    def __init__(self, success):
        self.success = success
        self.seen, self.crops = [], set()

    def transform(self, results):
        self.seen.append(results['attempt'])
        crop = results['views']['view2']['homography_matrix']
        self.crops.add(crop.tobytes())
        if results['attempt'] < self.success:
            return None
        for view in results['views'].values():
            del view['proposals']
        return results


@pytest.mark.parametrize(('success', 'tries'), [(0, 1), (2, 3), (9, 4)])
def test_views_are_made_anew_after_a_failure(success, tries):
    select = dict(type=Attempts, success=success)
    multi_view = MultiView(VIEWS, select, max_tries=4)
    packed = multi_view(sample())
    assert multi_view.select.seen == list(range(tries))
    assert len(multi_view.select.crops) == tries
    assert (packed is None) == (success == 9)


def test_a_pipeline_may_give_the_sample_up():
    class GiveUp(BaseTransform):

        def transform(self, results):
            return None

    for key in ('transforms', 'then'):
        views = dict(VIEWS, view1=dict(VIEWS['view1'], **{key: [GiveUp()]}))
        assert build(views)(sample()) is None


def test_draws_follow_the_seed():
    multi_view = build()
    packed = []
    for transform in (multi_view, pickle.loads(pickle.dumps(multi_view))):
        np.random.seed(3)
        packed.append(transform(sample()))
    for name, img in packed[0]['inputs'].items():
        assert (img == packed[1]['inputs'][name]).all()


def test_built_from_transforms():
    views = dict(
        view1=dict(
            transforms=[Resize((64, 64)), RandomResizedCrop(32)],
            then=[RandomFlip(prob=.5), PackRegionInputs()]),
        view2=dict(then=[PackRegionInputs()]))
    packed = build(views, PAIRS[:1])(sample())
    assert packed['inputs']['view2'].shape == (3, 80, 100)


def test_branches_share_pixels_and_nothing_else():
    class Note(BaseTransform):

        def transform(self, results):
            other, = results['others']
            seen.append(other['img'])
            other['box'] += 1
            results['gt_bboxes'].translate_([1, 0])
            return dict(inputs=other['box'][0],
                        data_samples=results['gt_bboxes'].tensor[0, 0])

    seen, given = [], dict(
        sample(), others=[dict(img=np.ones(3), box=np.zeros(4))],
        gt_bboxes=HorizontalBoxes(torch.zeros(1, 4)))
    branch = MultiBranch(['a', 'b'], a=[Note()], b=[Note()])
    assert branch(given) == dict(
        inputs=dict(a=1, b=1), data_samples=dict(a=1, b=1))
    assert all(img is given['others'][0]['img'] for img in seen)
    assert not given['others'][0]['box'].any()
    given['others'] = []
    branch.branch_pipelines['b'] = lambda results: None
    branch.branch_pipelines['a'] = lambda results: dict(inputs=1)
    assert branch(given) is None


@pytest.mark.parametrize('kind', ['mmdet.PackDetInputs',
                                  'mmloc.PackRegionInputs'])
def test_drawn_colours_are_not_lost_in_packing(kind):
    pack = [dict(type=kind, meta_keys=('flip', ))]
    views = {name: dict(then=pack) for name in ('view1', 'view2')}
    given = dict(sample(), gt_bboxes=HorizontalBoxes(torch.zeros(1, 4)),
                 proposals_scores=np.ones(1))
    for transform in (build(views, PAIRS[:1]), MultiBranch(['a'], a=pack)):
        assert transform(given)
        drawn = DeferPhotometric()(dict(given))
        if kind == 'mmdet.PackDetInputs':
            with pytest.raises(ValueError, match='packing has left them out'):
                transform(drawn)
        else:
            assert transform(drawn)


class Look(BaseTransform):
    """A transform of which nobody knows what it reads."""

    def transform(self, results):
        for view in results.get('views', dict(only=results)).values():
            assert type(view['img']) is np.ndarray
            assert view['img'].shape[:2] == view['img_shape']
        return results


@pytest.mark.parametrize('foreign', [
    [WHOLE, CROP],
    [CROP, dict(type='RandomFlip', prob=1.)],
    [dict(type='mmloc.RandomFlip', prob=1.), dict(type=Look)],
    [CROP, dict(type='RandomApply', transforms=[dict(type=Look)], prob=1.)],
    [dict(CROP, backend='pillow'), dict(type='mmloc.Resize', scale=(20, 20))],
])
def test_other_transforms_get_the_pixels_of_the_view(foreign):
    """They see and make what they do where nothing is deferred."""
    then = [dict(type=Look), *THEN]
    views = dict(a=dict(then=[*foreign, *THEN]), b=dict(then=then),
                 c=dict(then=foreign + then))
    pairs = [dict(views=('a', 'b')), dict(views=('a', 'c'))]
    noise = np.random.RandomState(0).randint(0, 256, (80, 100, 3), np.uint8)
    packed = []
    for limit in (0, 2**20):
        np.random.seed(0)
        results = DeferPhotometric()(dict(sample(), img=noise))
        packed.append(build(views, pairs, max_deferred=limit)(results))
    for view in views:
        np.testing.assert_array_equal(
            *(view_pixels(sample, view) for sample in packed))


def test_a_selection_may_look_at_the_pixels():
    class Choose(SelectMatches):

        def transform(self, results):
            return super().transform(Look()(results))

    views = {name: dict(transforms=[CROP], then=THEN) for name in 'ab'}
    select = dict(type=Choose, pairs=[dict(views=('a', 'b'))], num=1)
    assert MultiView(views, select)(DeferPhotometric()(sample()))


@pytest.mark.parametrize(('change', 'deferred'), [
    (dict(), True),
    (dict(img=np.zeros((9000, 2, 3), np.uint8)), False),
    (dict(img=np.zeros((150, 200, 3), np.uint8)), True),
    (dict(img=np.zeros((150, 201, 3), np.uint8)), False),
    (dict(img=np.zeros((80, 100, 3), np.float32)), False),
    (dict(img=np.zeros((80, 100), np.uint8)), False),
    (dict(photometric=None), False),
])
def test_which_images_are_deferred(change, deferred):
    multi_view = build(max_deferred=30000)
    results = dict(DeferPhotometric()(sample()), **change)
    img = multi_view._defer(results)['img']
    assert isinstance(img, DeferredImage) == deferred
    assert deferred or img is results['img']


@pytest.mark.parametrize(('kwargs', 'match'), [
    (dict(max_deferred=-1), 'max_deferred is -1'),
    (dict(views=dict(a=dict(transforms=[]))), "'a' has the keys"),
    (dict(views=dict(a=dict(then=[], pipeline=[]))), "'a' has the keys"),
    (dict(views=dict(a=dict(source='b', then=[]),
                     b=dict(source='a', then=[]))),
     "source of view 'a' is 'b'"),
    (dict(max_tries=0), 'max_tries is 0'),
])
def test_rejects_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        build(**kwargs)
