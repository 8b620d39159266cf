# Copyright (c) mmloc contributors. All rights reserved.
import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform, to_tensor
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TASK_UTILS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes
from mmengine.structures import InstanceData
from torch import Tensor

from mmloc import photometric, resampling
from mmloc.registry import TRANSFORMS
from mmloc.utils.compiled import compiled

from .randomness import cache_randomness


@TRANSFORMS.register_module()
class AugmentBoxes(BaseTransform):
    """Replace each box by an anchor that overlaps it (InsLoc, Sec. 3.3).

    Anchors of one grid whose IoU with the box exceeds a threshold are the
    candidates. Non-maximum suppression with random scores thins out near
    duplicates, and one survivor is drawn uniformly. Anchors are not clipped
    to the image. The true boxes stay as they are, so that the algorithm
    chooses per level which of the two to pool.

    **Required Keys:**

    - gt_bboxes (HorizontalBoxes): (K, 4), xyxy in pixels.
    - img_shape (tuple): (H, W).

    **Added Keys:**

    - aug_bboxes (np.float32): (K, 4), xyxy in pixels.

    Args:
        anchor_generator (dict, optional): Config of an mmdet anchor
            generator of one level. Defaults to None, for the published grid:
            stride 16, anchors of side 32, 64, 128 and 256 with height over
            width 0.5, 0.75, 1, 1.5 and 2, centred at multiples of 16.
        iou_thr (float): A candidate's IoU is above it. Defaults to 0.5.
        nms_iou_thr (float): Of two candidates with an IoU above it one is
            dropped. Defaults to 0.7.
        fallback (str): What is done for a box without any candidate: 'box'
            keeps the true box; 'top' takes the anchors with the largest IoU
            as candidates, as the published code does, although most of them
            miss the box. Defaults to 'box'.
        num_fallback (int): Number of candidates with ``fallback='top'``.
            Defaults to 4000.

    Raises:
        ValueError: If a threshold is outside [0, 1), ``fallback`` is unknown
            or the generator has not exactly one level.
    """

    def __init__(self,
                 anchor_generator: dict | None = None,
                 iou_thr: float = 0.5,
                 nms_iou_thr: float = 0.7,
                 fallback: str = 'box',
                 num_fallback: int = 4000) -> None:
        self.anchor_generator = TASK_UTILS.build(
            anchor_generator or dict(
                type='mmdet.AnchorGenerator',
                strides=[16],
                scales=[2, 4, 8, 16],
                ratios=[0.5, 0.75, 1.0, 1.5, 2.0]))
        if self.anchor_generator.num_levels != 1:
            raise ValueError(
                f'anchor_generator has {self.anchor_generator.num_levels} '
                'levels, but the candidates come from one grid: give one '
                'stride.')
        for name, value in dict(
                iou_thr=iou_thr, nms_iou_thr=nms_iou_thr).items():
            if not 0 <= value < 1:
                raise ValueError(
                    f'{name} is {value}, but it must lie in [0, 1).')
        if fallback not in ('box', 'top'):
            raise ValueError(
                f"fallback is {fallback!r}, but it must be 'box' or 'top'.")
        self.iou_thr = iou_thr
        self.nms_iou_thr = nms_iou_thr
        self.fallback = fallback
        self.num_fallback = num_fallback
        self._anchors = {}
        # The compiler's runtime loads once, not in each forked worker.
        _suppress(np.empty((0, 4), np.float32), np.empty(0, np.int64), 0.)

    def anchors(self, img_shape: tuple[int, int]) -> Tensor:
        """All anchors of an image, made once per image shape.

        Args:
            img_shape (tuple[int, int]): Height and width in pixels.

        Returns:
            Tensor: (A, 4), row by row over the cells, the anchors of a cell
            innermost.
        """
        img_shape = tuple(img_shape[:2])
        if img_shape not in self._anchors:
            width, height = self.anchor_generator.strides[0]
            featmap = (-(-img_shape[0] // height), -(-img_shape[1] // width))
            anchors = self.anchor_generator.single_level_grid_priors(
                featmap, level_idx=0, device='cpu')
            # Each coordinate in one piece, as `_ious` reads them.
            self._anchors[img_shape] = anchors.t().contiguous().t()
        return self._anchors[img_shape]

    def candidates(self, box: Tensor, anchors: Tensor) -> Tensor:
        """Anchors from which the augmented box of a box is drawn.

        Args:
            box (Tensor): (4, ).
            anchors (Tensor): (A, 4).

        Returns:
            Tensor: (M, 4), M is 0 if none passes and ``fallback`` is 'box'.
        """
        ious = torch.from_numpy(_ious(box.numpy(), anchors.numpy()))
        passing = anchors[ious > self.iou_thr]
        if len(passing) == 0 and self.fallback == 'top':
            passing = anchors[ious.topk(min(self.num_fallback,
                                            len(ious))).indices]
        return passing

    def survivors(self, candidates: Tensor, scores: Tensor) -> Tensor:
        """Thin out candidates by non-maximum suppression.

        Args:
            candidates (Tensor): (M, 4).
            scores (Tensor): (M, ).

        Returns:
            Tensor: Kept boxes, (P, 4), by falling score.
        """
        order = np.argsort(-scores.numpy(), kind='stable')
        return candidates[torch.from_numpy(
            _suppress(candidates.numpy(), order, float(self.nms_iou_thr)))]

    @cache_randomness
    def _rand_scores(self, num: int) -> Tensor:
        return torch.from_numpy(np.random.rand(num).astype(np.float32))

    @cache_randomness
    def _rand_index(self, num: int) -> int:
        return np.random.randint(num)

    def _augment(self, box: Tensor, anchors: Tensor) -> Tensor:
        candidates = self.candidates(box, anchors)
        if len(candidates) == 0:
            return box
        kept = self.survivors(candidates, self._rand_scores(len(candidates)))
        return kept[self._rand_index(len(kept))]

    def transform(self, results: dict) -> dict:
        """Draw an augmented box for each box.

        Args:
            results (dict): Result dict with boxes.

        Returns:
            dict: Result dict with ``aug_bboxes``.
        """
        boxes = results['gt_bboxes'].tensor
        anchors = self.anchors(results['img_shape'])
        augmented = [self._augment(box, anchors) for box in boxes]
        results['aug_bboxes'] = torch.stack(
            augmented).numpy() if augmented else boxes.numpy()
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(iou_thr={self.iou_thr}, '
                f'nms_iou_thr={self.nms_iou_thr}, '
                f'fallback={self.fallback!r}, '
                f'anchor_generator={self.anchor_generator})')


def _ious(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of a box (4, ) with others (n, 4), to mmdet's bits but quicker."""
    left, top, right, bottom = boxes.T
    x1, y1, x2, y2 = box
    widths = np.minimum(right, x2) - np.maximum(left, x1)
    heights = np.minimum(bottom, y2) - np.maximum(top, y1)
    overlap = np.maximum(widths, 0) * np.maximum(heights, 0)
    area = (right - left) * (bottom - top)
    union = (x2 - x1) * (y2 - y1) + area - overlap
    return overlap / np.maximum(union, np.float32(1e-6))


@compiled
def _suppress(boxes: np.ndarray, order: np.ndarray,
              iou_thr: float) -> np.ndarray:
    """torchvision's ``nms``, whose call alone takes longer on so few boxes.

    Args:
        boxes (np.ndarray): float32 (n, 4).
        order (np.ndarray): int64 (n, ), the rows by falling score.
        iou_thr (float): Boxes above it give way to one with a higher score.

    Returns:
        np.ndarray: int64 (m, ), the rows that are left, by falling score.
    """
    zero = np.float32(0)
    gone = np.zeros(len(boxes), np.bool_)
    kept = np.empty(len(boxes), np.int64)
    num = 0
    for i, row in enumerate(order):
        if gone[row]:
            continue
        kept[num] = row
        num += 1
        x1, y1, x2, y2 = boxes[row]
        area = (x2 - x1) * (y2 - y1)
        for other in order[i + 1:]:
            left, top, right, bottom = boxes[other]
            overlap = max(min(x2, right) - max(x1, left), zero) * max(
                min(y2, bottom) - max(y1, top), zero)
            union = area + (right - left) * (bottom - top) - overlap
            gone[other] |= overlap / union > iou_thr
    return kept[:num]


@TRANSFORMS.register_module()
class PackRegionInputs(PackDetInputs):
    """mmdet's ``PackDetInputs`` that packs more of the instances.

    **Required Keys:** those of ``PackDetInputs``, and optionally

    - aug_bboxes (np.float32): (K, 4), packed as ``gt_instances.aug_bboxes``.
    - gt_bboxes_pairs (np.int64): (K, ), packed as ``gt_instances.pairs``.
    - view_pairs (list[tuple[str, str]]) and photometric (np.float32, (P, ),
      see :class:`DeferPhotometric`), packed as metainfo.

    ``ignored_instances`` are only packed where the instances have
    ``gt_ignore_flags``.
    """

    mapping_table = dict(
        PackDetInputs.mapping_table,
        aug_bboxes='aug_bboxes',
        gt_bboxes_pairs='pairs')

    #: What only mmdet packs, and not in the shortest time.
    _upstream = frozenset(
        {'gt_ignore_flags', 'gt_masks', 'gt_seg_map', 'proposals'})

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.meta_keys = (*self.meta_keys, 'view_pairs', photometric.KEY)

    def transform(self, results: dict) -> dict:
        """Pack.

        Args:
            results (dict): Result dict.

        Returns:
            dict: ``inputs``, uint8 (3, H, W), and ``data_samples``. Of a
            view that is still to be cut out, ``inputs`` is the image that it
            is cut out of, the same object for all its views, and the
            metainfo has ``resampling``, see
            :func:`mmloc.resampling.carry_out`.
        """
        img = results['img']
        rest = results.keys() & self._upstream
        # Upstream copies image and meta information slowly.
        data_sample = super().transform({
            key: value
            for key, value in results.items()
            if key != 'img' and key not in self.meta_keys
        })['data_samples'] if rest else self._pack_instances(results)
        for key in self.meta_keys:
            if key in results:
                data_sample.set_field(
                    results[key], key, field_type='metainfo')
        packed = dict(data_samples=data_sample)
        if isinstance(img, resampling.DeferredImage):
            packed['inputs'], plan = img.pack()
            if plan is not None:
                packed['data_samples'].set_field(
                    plan, resampling.KEY, field_type='metainfo')
            return packed
        planes = np.empty((img.shape[2], *img.shape[:2]), img.dtype)
        cv2.split(img, list(planes))
        packed['inputs'] = torch.from_numpy(planes)
        return packed

    def _pack_instances(self, results: dict) -> DetDataSample:
        """Without upstream's empty parts and its checks at each step."""
        instances = InstanceData()
        for key, name in self.mapping_table.items():
            value = results.get(key)
            if value is None:
                continue
            if not isinstance(value, BaseBoxes):
                value = to_tensor(value)
            instances.set_field(value, name)
        lengths = {name: len(value) for name, value in instances.items()}
        if len(set(lengths.values())) > 1:
            lengths = dict(sorted(lengths.items()))
            raise ValueError(
                f'The instances of an image have {lengths} entries, expected '
                'equally many; a transform has changed only some of them.')
        data_sample = DetDataSample()
        data_sample.gt_instances = instances
        return data_sample
