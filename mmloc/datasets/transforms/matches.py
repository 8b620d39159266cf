# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes

from mmloc.registry import TRANSFORMS

from .randomness import cache_randomness
from .regions import (
    box_changes,
    common,
    empty,
    intersect,
    jitter_boxes,
    last_pixels,
    normalize_boxes,
    view_region,
)


@TRANSFORMS.register_module()
class SelectMatches(BaseTransform):
    """Give pairs of views the proposals that both of them show (SoCo).

    For each pair of views up to ``num`` proposals are drawn without
    replacement, independently of the other pairs, from those that overlap
    what both views show. The copies of a view with ``jitter`` are shifted and
    stretched, all are clipped to their views, and those that are lost in one
    view are dropped in both. Each view then repeats some of its boxes at
    random until it has ``num`` for the pair; repeats keep their id and match
    as well. (``num`` boxes that are all different need no repeating.)

    A try fails, and None is returned, if a pair has fewer candidates than
    ``min_common``, halved after each failed try of the sample but at least 1,
    or if none is left after clipping. The published code goes on with what it
    has and invents a box of the whole view with id 1 where nothing is left.

    **Required Keys:**

    - views (dict[str, dict]): Results of each view after crops and resizes,
      with ``homography_matrix`` and ``img_shape``.
    - proposals (np.float32): (n, 4), xyxy, pixels of the raw image; the ids
      are 1, ..., n.
    - attempt (int, optional): Number of failed tries of the sample.

    **Modified Keys:**

    - views: each without ``proposals`` and with P * ``num`` boxes, P being
      the number of pairs with this view. Those of a pair stand together, in
      the order of ``pairs``:

      - gt_bboxes (HorizontalBoxes[torch.float32]): xyxy, pixels of the view.
      - gt_bboxes_labels (np.int64): ids.
      - gt_bboxes_pairs (np.int64): index of the pair.
      - view_pairs (list[tuple[str, str]]): the pairs of this view.

    Args:
        pairs (Sequence[dict]): ``views`` (two names) and optionally
            ``same_as`` (int, index of an earlier pair whose boxes, ids and
            repeats this pair takes over; its views must show the same regions
            of the image, in this order).
        num (int): K, boxes of a view for each pair. Defaults to 4.
        min_common (int, optional): Candidates that a pair needs in the first
            try. Defaults to None, for half of ``num``, as published.
        jitter (dict[str, dict], optional): By view, ``prob`` of each box and
            ``ratio``: x and y are shifted by up to this fraction of width and
            height, and width and height change by up to this fraction.
            Defaults to None.
        min_size (float): Boxes of which a side is shorter, after clipping
            and in pixels of a view of the pair that draws them, count as
            lost. Defaults to 0, as published.
        inclusive (bool): Compute with inclusive pixels as the published code
            does: x2 and y2 of proposals and regions are one less, and a
            region of w pixels ends at w - 1 for clipping but is w wide for
            resizing. Defaults to False.

    Raises:
        ValueError: An argument is of the wrong form, a view is unknown or in
            no pair, or the sample has no proposals.
    """

    def __init__(self,
                 pairs: Sequence[dict],
                 num: int = 4,
                 min_common: int | None = None,
                 jitter: dict[str, dict] | None = None,
                 min_size: float = 0,
                 inclusive: bool = False) -> None:
        self.pairs = [_check_pair(i, pair) for i, pair in enumerate(pairs)]
        if not self.pairs or num < 1:
            raise ValueError(f'There are {len(self.pairs)} pairs and num is '
                             f'{num}, expected at least one of each.')
        #: By view, the indices of its pairs.
        self.pairs_of = {
            name: [i for i, (names, _) in enumerate(self.pairs)
                   if name in names]
            for names, _ in self.pairs for name in names
        }
        self.num = num
        self.min_common = num // 2 if min_common is None else min_common
        self.jitter = jitter or {}
        for name, cfg in self.jitter.items():
            if set(cfg) != {'prob', 'ratio'} or not (
                    0 <= cfg['prob'] <= 1 and 0 <= cfg['ratio'] < 1):
                raise ValueError(
                    f'jitter of {name!r} is {dict(cfg)}, expected prob in '
                    '[0, 1] and ratio in [0, 1).')
        self.min_size = min_size
        self.inclusive = inclusive
        # The compiler's runtime loads once, not in each forked worker.
        common(np.empty((0, 4)), np.empty(4), np.empty(4))

    @cache_randomness
    def _rand_choice(self, num_candidates: int) -> np.ndarray:
        """Draw up to ``num`` of the candidates."""
        return np.random.permutation(num_candidates)[:self.num]

    @cache_randomness
    def _rand_changes(self, num_boxes: int, prob: float,
                      ratio: float) -> np.ndarray:
        """Draw the changes of :func:`jitter_boxes`, (num_boxes, 4)."""
        return box_changes(np.random.rand(5 * num_boxes), prob, ratio)

    @cache_randomness
    def _rand_repeats(self, num_boxes: int) -> np.ndarray:
        """Draw the boxes that fill up a view to ``num``."""
        return np.random.randint(num_boxes, size=self.num - num_boxes)

    def transform(self, results: dict) -> dict | None:
        """Select the boxes of all views.

        Args:
            results (dict): Result dict with ``views`` and ``proposals``.

        Returns:
            dict or None: Result dict with boxes in its views, None if a pair
            has too few in common.
        """
        views = results['views']
        self._check_sample(results)
        regions = {
            name: view_region(view['homography_matrix'], view['img_shape'])
            for name, view in views.items()
        }
        proposals = self._as_drawn(results['proposals'].astype(np.float64))
        minimum = max(self.min_common >> results.get('attempt', 0), 1)
        drawn: list[dict] = []
        for names, same_as in self.pairs:
            if same_as is None:
                pair = self._draw(names, proposals, views, regions, minimum)
            else:
                pair = self._reuse(names, same_as, drawn[same_as], regions)
            if pair is None:
                return None
            drawn.append(pair)
        for name, view in views.items():
            self._set_boxes(name, view, drawn)
        return results

    def _as_drawn(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes or regions in the convention to compute with."""
        return last_pixels(boxes) if self.inclusive else boxes

    def _draw(self, names: tuple[str, str], proposals: np.ndarray, views: dict,
              regions: dict, minimum: int) -> dict | None:
        """Draw a pair's boxes from proposals in the convention.

        Returns:
            dict or None: By view, normalised boxes (num, 4) and ids (num, ).
        """
        limits = [self._as_drawn(regions[name]) for name in names]
        candidates = common(proposals, *limits)
        if len(candidates) < minimum:
            return None
        chosen = candidates[self._rand_choice(len(candidates))]
        boxes, lost = {}, np.zeros(len(chosen), dtype=bool)
        for name, limit in zip(names, limits):
            raw = proposals[chosen]
            if name in self.jitter:
                changes = self._rand_changes(len(raw), **self.jitter[name])
                raw = jitter_boxes(raw, changes, self.inclusive)
            raw = intersect(raw, limit)
            boxes[name] = normalize_boxes(raw, regions[name])
            lost |= empty(raw)
            if self.min_size > 0:
                sides = boxes[name][:, 2:] - boxes[name][:, :2]
                sides = sides * views[name]['img_shape'][1::-1]
                lost |= (sides < self.min_size).any(1)
        kept, = (~lost).nonzero()
        if len(kept) == 0:
            return None
        pair = {}
        for name in names:
            rows = kept
            if len(kept) < self.num:
                repeats = kept[self._rand_repeats(len(kept))]
                rows = np.concatenate([kept, repeats])
            pair[name] = boxes[name][rows], chosen[rows] + 1
        return pair

    @staticmethod
    def _reuse(names: tuple[str, str], same_as: int, pair: dict,
               regions: dict) -> dict:
        """Take over the boxes of another pair."""
        for name, other in zip(names, pair):
            if not np.array_equal(regions[name], regions[other]):
                raise ValueError(
                    f'Pair {names} is same_as pair {same_as}, but '
                    f'{name!r} shows {regions[name].tolist()} of the image '
                    f'and {other!r} {regions[other].tolist()}; set '
                    f'source={other!r} of {name!r} and only resize it.')
        return dict(zip(names, pair.values()))

    def _set_boxes(self, name: str, view: dict, drawn: list[dict]) -> None:
        """Write the boxes of all pairs into a view."""
        pairs = self.pairs_of[name]
        boxes, ids = map(np.concatenate, zip(*(drawn[i][name] for i in pairs)))
        height, width = view['img_shape'][:2]
        boxes = boxes * (width, height, width, height)
        # mmdet's packing would ask for scores of the proposals.
        view.pop('proposals', None)
        view['gt_bboxes'] = HorizontalBoxes(
            torch.from_numpy(boxes.astype(np.float32)), clone=False)
        view['gt_bboxes_labels'] = ids
        view['view_pairs'] = [self.pairs[i][0] for i in pairs]
        view['gt_bboxes_pairs'] = np.array(pairs, np.int64).repeat(self.num)

    def _check_sample(self, results: dict) -> None:
        if 'proposals' not in results:
            raise ValueError(
                "The sample has no 'proposals'; put mmloc.LoadProposals or "
                'mmloc.GenerateProposals before mmloc.MultiView.')
        views, paired = results['views'].keys(), self.pairs_of.keys()
        if paired != views or not paired >= self.jitter.keys():
            raise ValueError(
                f'The views are {sorted(views)}, those of pairs '
                f'{sorted(paired)} and those of jitter '
                f'{sorted(self.jitter)}; every view must be in a pair, and '
                'pairs and jitter must name views.')

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(pairs={self.pairs}, '
                f'num={self.num}, min_common={self.min_common}, '
                f'jitter={self.jitter}, min_size={self.min_size}, '
                f'inclusive={self.inclusive})')


def _check_pair(index: int, pair: dict) -> tuple[tuple[str, str], int | None]:
    """Return the names of a pair's views and the pair it is the same as."""
    names = tuple(pair.get('views', ()))
    same_as = pair.get('same_as')
    if (set(pair) - {'views', 'same_as'} or len(set(names)) != 2
            or len(names) != 2 or same_as not in (None, *range(index))):
        raise ValueError(
            f'Pair {index} is {dict(pair)}, expected dict(views=(A, B)) with '
            'two different names and perhaps same_as, the index of an earlier '
            'pair.')
    return names, same_as
