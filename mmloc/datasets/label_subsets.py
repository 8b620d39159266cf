# Copyright (c) mmloc contributors. All rights reserved.
import copy
from collections import Counter
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log

from mmloc.registry import DATASETS

#: Lists that come with the package, ``mini_coco/fold1`` and so on.
_SHIPPED = Path(__file__).parent / 'label_lists'


@DATASETS.register_module()
class LabelSubset:
    """The first images of a labelled dataset, in an order that is fixed.

    In one order, fewer labels are always a part of more: 1 % is the head of
    the list that begins 2 %. It is an option of the config rather than a
    smaller annotation file because the share, the order and the check of the
    set then stand in the config of every run, and nothing has to be written.

    Mini-COCO of SoCo's code is the first ``int(fraction * length)`` entries
    of detectron2's list of COCO train2017, which is sorted by image id, and
    has no image without a usable box::

        dict(type='mmloc.LabelSubset', dataset=..., num=0.05,
             by_image_id=True, total=117266)

    ``order='mini_coco/fold1'`` to ``fold5`` take images at random in place of
    the first. No image is in two of these five lists, each of which holds
    10 % of the set.

    Args:
        dataset (dict or BaseDataset): The whole dataset or its config; other
            wrappers will do too.
        num (int or float): How many images: a number (int), or a share of
            them (float, above 0 and up to 1), rounded down.
        order (str, optional): List of positions from 0, the path of a text
            file (one a line; # begins a comment) or the name of a shipped
            list. Defaults to None, the order of the dataset.
        by_image_id (bool): Whether positions count as detectron2 does:
            images sorted by id, those left out in which no box can be learned
            from (none, or crowds only). Defaults to False, the order and the
            images that ``dataset`` has.
        total (int, optional): Number of images to choose from that the
            positions are meant for. Defaults to None, not checked.
        lazy_init (bool): Whether to put off reading the source.
            Defaults to False.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: ``num`` is out of range, the list is none or too short, or
            the dataset has another number of images than ``total``.
    """

    def __init__(self,
                 dataset: dict | BaseDataset,
                 num: int | float,
                 order: str | None = None,
                 by_image_id: bool = False,
                 total: int | None = None,
                 lazy_init: bool = False) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not 0 < num <= (1 if isinstance(num, float) else num):
            raise ValueError(
                f'num is {num!r}, expected a number of images (int, 1 or '
                'more) or a share of them (float, above 0 and up to 1).')
        self.dataset = dataset
        self.num, self.order = num, order
        self.by_image_id, self.total = by_image_id, total
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """dict: A copy of the dataset's."""
        return copy.deepcopy(self.dataset.metainfo)

    def full_init(self) -> None:
        """Read the dataset, choose the images and log what they hold."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        choice = self._list_images()
        if self.total not in (None, len(choice)):
            raise ValueError(
                f'The dataset has {len(choice):,} images to learn from, but '
                f'positions are meant for {self.total:,}: use the original '
                'annotations with all classes, or for another set total=None '
                'and no list made for this one.')
        num = self.num
        if isinstance(num, float):
            num = int(num * len(choice))
        if self.order is not None:
            choice = choice[_read_order(self.order, num, len(choice))]
        if not 0 < num <= len(choice):
            raise ValueError(
                f'num={self.num} is {num} of {len(choice)} images, expected '
                'at least one and no more than there are; change num.')
        self._indices = choice[:num]
        self._fully_initialized = True
        print_log(f'LabelSubset: {describe_labels(self)}', 'current')

    def _list_images(self) -> np.ndarray:
        """Indices of the dataset that positions count, in order."""
        if not self.by_image_id:
            return np.arange(len(self.dataset))
        infos = map(self.dataset.get_data_info, range(len(self.dataset)))
        ids = [(info['img_id'], i) for i, info in enumerate(infos)
               if any(not x['ignore_flag'] for x in info['instances'])]
        return np.array([i for _, i in sorted(ids)], np.int64)

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Get the annotation of an image.

        Args:
            idx (int): Index among the chosen images.

        Returns:
            dict: As of the dataset.
        """
        return self.dataset.get_data_info(int(self._indices[idx]))

    @force_full_init
    def __getitem__(self, idx: int) -> dict:
        return self.dataset[int(self._indices[idx])]

    @force_full_init
    def __len__(self) -> int:
        return len(self._indices)


def describe_labels(dataset) -> str:
    """Count what there is to learn from.

    Args:
        dataset (BaseDataset): A dataset, or a wrapper of some.

    Returns:
        str: Numbers of images, boxes and classes, and the classes of which
        there is no box; of a dataset without boxes, the images alone.
    """
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    text = f'{len(infos):,} images'
    if not all('instances' in info for info in infos):
        return text
    boxes = Counter(
        box['bbox_label'] for info in infos for box in info['instances']
        if not box['ignore_flag'])
    classes = dataset.metainfo['classes']
    text += (f', {boxes.total():,} boxes of {len(boxes)} of {len(classes)} '
             'classes')
    missing = [x for i, x in enumerate(classes) if not boxes[i]]
    return f'{text}; none of {", ".join(missing)}' if missing else text


def _read_order(order: str, num: int, total: int) -> np.ndarray:
    """The first positions of a list, from a file or shipped."""
    path = Path(order)
    if not path.is_file():
        path = _SHIPPED / f'{order}.txt'
    if not path.is_file():
        known = sorted(x.relative_to(_SHIPPED).with_suffix('').as_posix()
                       for x in _SHIPPED.rglob('*.txt'))
        raise FileNotFoundError(
            f'There is no list of positions {order!r}; give the path of a '
            f'text file, or one of {", ".join(known)}.')
    try:
        positions = np.loadtxt(path, np.int64, ndmin=1)[:num]
    except ValueError as error:
        raise ValueError(f'{str(path)!r} is no list of positions ({error}), '
                         'expected a whole number on each line.') from error
    known = positions[(positions >= 0) & (positions < total)]
    if len(np.unique(known)) < num:
        raise ValueError(
            f'{str(path)!r} begins with {len(np.unique(known))} different '
            f'images of {total}, expected {num}; lower num, or use the set '
            'that the list was made for.')
    return positions
