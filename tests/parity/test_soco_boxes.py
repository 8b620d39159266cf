# Copyright (c) mmloc contributors. All rights reserved.
"""Views and their boxes against the published implementation of SoCo.

Each case goes through ``MultiView`` with the random draws of the reference
put in place of ours, and with the published inclusive pixels.
"""
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import RandomFlip
from mmdet.structures.bbox import HorizontalBoxes

from mmloc.datasets.transforms import (
    MultiView,
    PackRegionInputs,
    RandomResizedCrop,
    SelectMatches,
)
from mmloc.datasets.transforms.regions import (
    common,
    empty,
    intersect,
    jitter_boxes,
    last_pixels,
    view_region,
)
from mmloc.models.utils import assign_levels

from .golden import assert_close, load_case

VIEWS = ('view1', 'view2')


class RecordedCrop(RandomResizedCrop):
    """Crop where the reference did."""

    def __init__(self, params, scale):
        super().__init__(int(scale), backend='cv2')
        self.params = tuple(params[:4].tolist())

    def rand_crop_params(self, img):
        return self.params


class RecordedSelect(SelectMatches):
    """Select, jitter and repeat the boxes that the reference did."""

    def __init__(self, record, **kwargs):
        super().__init__(**kwargs)
        self.record = record
        self.numbers = iter((1, 2))

    def _rand_choice(self, num_candidates):
        candidates = self.record['overlap_props'][:, 4]
        assert num_candidates == len(candidates)
        return np.searchsorted(candidates, self.record['selected_props'][:, 4])

    def _rand_changes(self, num_boxes, prob, ratio):
        changes = self.record['jitter_u']
        assert (abs(changes) <= ratio).all()
        assert (self.record['jitter_r'] < prob)[changes.any(1)].all()
        return changes

    def _rand_repeats(self, num_boxes):
        # Called for the first view and then for the second.
        ids = self.record[f'final{next(self.numbers)}'][:, 4].tolist()
        kept = self.record['selected_props'][:, 4].tolist()
        return np.array([kept.index(i) for i in ids[num_boxes:]], int)


@pytest.fixture(scope='module')
def golden():
    """Settings, and the arrays of each case."""
    case, arrays = load_case('soco_boxes')
    ragged = {
        key: np.split(arrays[key], np.cumsum(arrays[f'{key}_count'])[:-1])
        for key in case['ragged_keys']
    }
    plain = {
        key: value
        for key, value in arrays.items()
        if len(value) == case['n_cases'] and not key.endswith('_count')
    }
    records = [{key: value[i]
                for key, value in {**plain, **ragged}.items()}
               for i in range(case['n_cases'])]
    assert {'final1', 'assigned2', 'clipped2'} < set(records[0])
    return case, records


def make_views(case: dict, record: dict) -> dict | None:
    """Both packed views of a case, before any flip."""
    views = {
        name: dict(
            transforms=[
                RecordedCrop(record[f'params{i + 1}'], record['view_size'][i])
            ],
            then=[PackRegionInputs()])
        for i, name in enumerate(VIEWS)
    }
    jitter = dict(prob=case['jitter_prob'], ratio=case['jitter_ratio'])
    select = dict(
        type=RecordedSelect,
        record=record,
        pairs=[dict(views=VIEWS)],
        num=case['select_k'],
        min_common=1,
        jitter=dict(view1=jitter),
        inclusive=True)
    width, height = record['image_wh']
    packed = MultiView(
        views, select, max_tries=1)(
            dict(
                img=np.zeros((height, width, 3), np.uint8),
                proposals=proposals(record)))
    return packed and packed['data_samples']


def proposals(record: dict) -> np.ndarray:
    """Proposals as our files hold them."""
    boxes = record['props_xywh'].astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def crop_region(params: np.ndarray) -> np.ndarray:
    top, left, height, width = params[:4]
    return np.array([left, top, left + width, top + height], np.float64)


@pytest.fixture(scope='module')
def views(golden):
    case, records = golden
    return [make_views(case, record) for record in records]


def test_conversion_and_overlap(golden):
    case, records = golden
    num_apart = 0
    for record in records:
        boxes = last_pixels(proposals(record))
        np.testing.assert_array_equal(boxes, record['props_xyxy_id'][:, :4])
        regions = [
            last_pixels(crop_region(record[key]))
            for key in ('params1', 'params2')
        ]
        shared = intersect(regions[0][None], regions[1])
        assert empty(shared) == record['overlap_is_none']
        if empty(shared):
            num_apart += 1
        else:
            np.testing.assert_array_equal(shared[0], record['overlap'])
        np.testing.assert_array_equal(
            np.column_stack([boxes, 1 + np.arange(len(boxes))])[common(
                boxes, *regions)], record['overlap_props'])
    assert num_apart == case['n_overlap_none']


def test_jitter_and_clipping(golden):
    for record in golden[1]:
        if len(record['selected_props']) == 0:
            continue
        boxes = record['selected_props'][:, :4].astype(np.float64)
        jittered = jitter_boxes(boxes, record['jitter_u'], inclusive=True)
        assert_close('soco jittered box (px)', jittered,
                     record['jittered_props'][:, :4], atol=1e-9)
        for ours, number, key in ((boxes, 1, 'clipped1'),
                                  (jittered, 1, 'clipped1_jittered'),
                                  (boxes, 2, 'clipped2')):
            region = crop_region(record[f'params{number}'])
            clipped = intersect(ours, last_pixels(region))
            lost = empty(clipped)
            ids = record['selected_props'][~lost, 4]
            np.testing.assert_array_equal(ids, record[key][:, 4])
            assert_close('soco clipped box (px)',
                         clipped[~lost] - np.tile(region[:2], 2),
                         record[key][:, :4], atol=1e-9)
        np.testing.assert_array_equal(
            np.intersect1d(record['clipped1_jittered'][:, 4],
                           record['clipped2'][:, 4]),
            np.sort(record['common_ids']))


def test_refuses_what_the_reference_invents(golden, views):
    case, records = golden
    refused = [view is None for view in views]
    assert sum(refused) == case['n_whole_view_fallback']
    for record, is_refused in zip(records, refused):
        # There the reference goes on with the whole view as a box of id 1.
        assert is_refused == (len(record['selected_props']) == 0)
        assert not record['overlap_is_none'] or is_refused


def test_boxes_of_views(golden, views):
    for record, samples in zip(golden[1], views):
        for i, name in enumerate(VIEWS if samples else ()):
            instances = samples[name].gt_instances
            boxes = instances.bboxes.numpy()
            size = record['view_size'][i]
            resized = record[f'resized{i + 1}']
            np.testing.assert_array_equal(instances.labels, resized[:, 4])
            # Ours end as float32 of up to 224.
            assert_close('soco box in view (px)', boxes, resized[:, :4],
                         atol=2e-5)
            assert_close('soco box relative to view', boxes / size,
                         record[f'tensor{i + 1}'][:, :4], atol=2e-7)
            flipped = RandomFlip(prob=1.)(
                dict(
                    img=np.zeros((size, size, 3), np.uint8),
                    img_shape=(size, size),
                    gt_bboxes=HorizontalBoxes(boxes.copy())))
            assert_close('soco flipped box relative to view',
                         flipped['gt_bboxes'].numpy() / size,
                         record[f'flipped{i + 1}'][:, :4], atol=3e-7)


def test_regions_of_views(golden):
    """The region read from ``homography_matrix`` is the crop, exactly."""
    for record in golden[1]:
        width, height = record['image_wh']
        crop = RecordedCrop(record['params2'], record['view_size'][1])
        view = crop(
            dict(
                img=np.zeros((height, width, 1), np.uint8),
                homography_matrix=np.eye(3)))
        np.testing.assert_array_equal(
            view_region(view['homography_matrix'], view['img_shape']),
            crop_region(record['params2']))


def assigned_ids(instances, thresholds: list, unused: int) -> np.ndarray:
    """Ids at [level, box] as the reference lays them out."""
    levels = assign_levels(
        instances.bboxes.tensor, thresholds, inclusive=True)
    ids = torch.full((len(thresholds), len(levels)), unused)
    chosen = levels >= 0
    ids[levels[chosen], chosen.nonzero()[:, 0]] = instances.labels[chosen]
    return ids.flatten().numpy()


def test_levels_and_matches(golden, views):
    case, records = golden
    thresholds = case['aware_range'][case['aware_start']:case['aware_end']]
    for record, samples in zip(records, views):
        if samples is None:
            continue
        ids = [samples[name].gt_instances.labels.numpy() for name in VIEWS]
        np.testing.assert_array_equal(ids[0][:, None] == ids[1],
                                      record['correspondence'])
        levels = []
        for number, name in enumerate(VIEWS, 1):
            levels.append(
                assigned_ids(samples[name].gt_instances, thresholds,
                             case[f'not_used_value_{name}']))
            np.testing.assert_array_equal(levels[-1],
                                          record[f'assigned{number}'])
        np.testing.assert_array_equal(levels[0][:, None] == levels[1],
                                      record['aware_correspondence'])
