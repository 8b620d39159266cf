# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from mmcv.transforms import BaseTransform

from mmloc.proposals import (
    ProposalFile,
    check_parameters,
    filter_proposals,
    parse_rule,
    selective_search,
)
from mmloc.proposals.cache import ProposalCache
from mmloc.registry import TRANSFORMS

_ON_EMPTY = ('skip', 'whole_image', 'keep')


class _AddProposals(BaseTransform):
    """What is common to all sources of proposals.

    Args:
        on_empty (str): What is done with an image that has no box: see the
            subclasses.
    """

    def __init__(self, on_empty: str) -> None:
        if on_empty not in _ON_EMPTY:
            raise ValueError(
                f'on_empty is {on_empty!r}, expected one of {_ON_EMPTY}.')
        self.on_empty = on_empty

    def boxes_of(self, results: dict) -> np.ndarray:
        """Find the boxes of an image.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            np.ndarray: (n, 4), float32, xyxy in pixels.
        """
        raise NotImplementedError

    def transform(self, results: dict) -> dict | None:
        """Add the boxes.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict or None: With ``proposals``; None for an image without a box
            and ``on_empty='skip'``.
        """
        boxes = self.boxes_of(results)
        if len(boxes) == 0 and self.on_empty == 'skip':
            return None
        if len(boxes) == 0 and self.on_empty == 'whole_image':
            height, width = results['img'].shape[:2]
            boxes = np.float32([[0, 0, width, height]])
        results['proposals'] = boxes
        return results


@TRANSFORMS.register_module()
class LoadProposals(_AddProposals):
    """Give an image its boxes out of a proposal file.

    It belongs right behind ``LoadImage``: the boxes are pixels of the image
    as it is loaded, and its size has to be that for which they were made.

    **Required Keys:**

    - img_name (str): Path relative to the root of the set, as
      :class:`mmloc.datasets.UnlabeledImageDataset` gives it.
    - img_id (int, optional): Where in the file the image is looked for first;
      ids of other types are not used.
    - img (np.uint8): (H, W, 3).

    **Added Keys:**

    - proposals (np.float32): (n, 4), xyxy in pixels.

    Args:
        proposal_file (str): A file of ``generate_proposals.py`` or
            ``convert_proposals.py``. Workers keep nothing of it in memory.
        on_empty (str): What is done with an image that has no box:
            ``'skip'`` returns None, so that the dataset draws another image
            and counts it; ``'whole_image'`` takes the image as the only box,
            as SoCo's code does; ``'keep'`` gives an array (0, 4). Defaults to
            'skip'.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no proposal file, ``on_empty`` is unknown, or an
            image has another size than its boxes were made for.
        KeyError: The file does not hold an image.
    """

    def __init__(self, proposal_file: str, on_empty: str = 'skip') -> None:
        super().__init__(on_empty)
        self.proposals = ProposalFile(proposal_file)

    def boxes_of(self, results: dict) -> np.ndarray:
        """Look up the boxes of an image.

        Args:
            results (dict): Result dict with ``img_name`` and ``img``.

        Returns:
            np.ndarray: (n, 4), float32, xyxy in pixels.
        """
        if 'img_name' not in results:
            raise KeyError(
                "A sample has no 'img_name', by which proposals are looked "
                'up: read the images by mmloc.UnlabeledImageDataset.')
        # Other datasets have ids of any kind.
        place = results.get('img_id')
        record = self.proposals.get(
            results['img_name'], place if isinstance(place, int) else None)
        height, width = results['img'].shape[:2]
        if (record.width, record.height) != (width, height):
            why = ('the EXIF orientation seems to be treated in two ways'
                   if (record.width, record.height) == (height, width) else
                   'they were made from another copy, or something changes '
                   'the size before LoadProposals')
            raise ValueError(
                f'The proposals of {record.name!r} in '
                f'{self.proposals.path!r} are for {record.width} x '
                f'{record.height} pixels, but the image has {width} x '
                f'{height}: {why}; generate them from these images, and put '
                'LoadProposals right behind LoadImage.')
        return record.boxes

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(proposal_file='
                f'{self.proposals.path!r}, on_empty={self.on_empty!r})')


@TRANSFORMS.register_module()
class GenerateProposals(_AddProposals):
    """Compute the boxes of an image, unless a cache on disk has them.

    With it pretraining starts on any folder without an offline step. The
    first epoch pays for selective search in the loader workers; later ones
    pay for a look-up. A set that is used often, or by many machines without
    a common disk, is better served by a proposal file.

    **Required Keys:**

    - img (np.uint8): (H, W, 3), BGR.

    **Added Keys:**

    - proposals (np.float32): (n, 4), xyxy in pixels.

    Args:
        cache_dir (str, optional): Folder of the cache,
            :class:`mmloc.proposals.cache.ProposalCache`; all workers, ranks
            and machines may share it. It takes 24 bytes an image and 16 a
            box, in up to 4096 files for each set of parameters. None computes
            the boxes each time.
        scale (float): See :func:`mmloc.proposals.selective_search`. Defaults
            to 300.
        sigma (float): See there. Defaults to 0.9.
        min_size (int): See there. Defaults to 100.
        max_side (int, optional): See there; it bounds the cost of large
            images, **and changes the boxes**. Defaults to None.
        rule (str | Mapping | Sequence[Mapping]): Which boxes are kept, see
            :func:`mmloc.proposals.filter_proposals`. Defaults to
            'ratio3size0308post', SoCo's.
        on_empty (str): As in :class:`LoadProposals`. Defaults to 'skip'.

    Raises:
        ValueError: An argument is out of range, or ``cache_dir`` cannot be
            written to.
        RuntimeError: The cache cannot be written any more.
    """

    def __init__(self,
                 cache_dir: str | None,
                 scale: float = 300.,
                 sigma: float = 0.9,
                 min_size: int = 100,
                 max_side: int | None = None,
                 rule: str | Mapping
                 | Sequence[Mapping] = 'ratio3size0308post',
                 on_empty: str = 'skip') -> None:
        super().__init__(on_empty)
        self.params = check_parameters(scale, sigma, min_size, max_side)
        # However a rule is written, the same boxes are found again.
        self.rule = [asdict(numbers) for numbers in parse_rule(rule)]
        self.cache = None if cache_dir is None else ProposalCache(
            cache_dir, dict(self.params, rule=self.rule))

    def boxes_of(self, results: dict) -> np.ndarray:
        """Look up or compute the boxes of an image.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            np.ndarray: (n, 4), float32, xyxy in pixels.
        """
        img = results['img']
        if self.cache is None:
            return self._compute(img)
        key = self.cache.key_of(img)
        boxes = self.cache.get(key)
        if boxes is None:
            boxes = self._compute(img)
            self.cache.put(key, boxes)
        return boxes

    def _compute(self, img: np.ndarray) -> np.ndarray:
        height, width = img.shape[:2]
        rgb = np.ascontiguousarray(img[..., ::-1])
        return filter_proposals(
            selective_search(rgb, **self.params), width, height, self.rule)

    def __repr__(self) -> str:
        folder = None if self.cache is None else self.cache.folder
        return (f'{self.__class__.__name__}(cache={folder!r}, '
                f'params={self.params}, rule={self.rule!r}, '
                f'on_empty={self.on_empty!r})')
