# Copyright (c) mmloc contributors. All rights reserved.
import copy
from collections.abc import Callable, Sequence

import numpy as np
from mmengine.dataset import BaseDataset, Compose, force_full_init

from mmloc.registry import DATASETS

from .redraw import RedrawMixin
from .resized_images import ResizedImages


@DATASETS.register_module()
class MixImagesDataset(RedrawMixin):
    """Give every image others drawn at random from the same source.

    Sample ``idx`` is the inner dataset's sample ``idx`` (the foreground) with
    two lists of other inner samples, run through ``pipeline``:

    - ``foregrounds`` (list[dict]): what is pasted, the same for every
      composite; the sample itself comes first.
    - ``backgrounds`` (list[dict]): one for each composite (view).

    The inner dataset's own pipeline has already loaded every ``img``. All
    draws are ``np.random.randint``, which mmengine seeds in each worker.

    Args:
        dataset (dict or BaseDataset): The inner dataset or its config.
        pipeline (Sequence[dict or callable]): Transforms of the mixed sample.
        num_backgrounds (int): Length of ``backgrounds``. Defaults to 2, the
            query's and the key's of InsLoc.
        num_foregrounds (int or tuple[int, int]): Length of ``foregrounds``,
            or its least and largest value, drawn uniformly for each sample.
            Defaults to 1, as published.
        exclude_foreground (bool): Whether the drawn images must differ from
            the foreground image. InsLoc's published code draws from the whole
            list. Defaults to False.
        background_cache (dict, optional): ``path`` and perhaps ``size``
            (width and height, by default 256 x 256) of
            :class:`.ResizedImages`: the backgrounds are kept in this file at
            the size of the canvas, so that from the second time on nothing
            has to be decoded for them. The pixels are the same. It takes
            0.2 MB for each image of the set (235 GiB for ImageNet, 22 GiB
            for COCO). The inner pipeline must not draw anything. Defaults to
            None.
        max_refetch (int): How often another index is drawn, when the pipeline
            returns None or when the foreground has to be excluded, before
            giving up. Defaults to 15.
        lazy_init (bool): Whether to put off reading the source.
            Defaults to False.

    Raises:
        TypeError: ``dataset`` is neither a config nor a dataset.
        ValueError: A count is negative, or ``exclude_foreground`` is asked
            of a source of one image.
        RuntimeError: ``max_refetch`` draws in a row were of no use.
    """

    def __init__(self,
                 dataset: dict | BaseDataset,
                 pipeline: Sequence[dict | Callable],
                 num_backgrounds: int = 2,
                 num_foregrounds: int | tuple[int, int] = 1,
                 exclude_foreground: bool = False,
                 background_cache: dict | None = None,
                 max_refetch: int = 15,
                 lazy_init: bool = False) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not hasattr(dataset, 'get_data_info'):
            raise TypeError(f'dataset is a {type(dataset).__name__}, expected '
                            'a config or an mmengine dataset.')
        if isinstance(num_foregrounds, int):
            num_foregrounds = (num_foregrounds, num_foregrounds)
        for name, low, high in (('num_foregrounds', *num_foregrounds),
                                ('num_backgrounds', num_backgrounds, None),
                                ('max_refetch', max_refetch, None)):
            if low < 0 or (high is not None and high < low):
                raise ValueError(
                    f'{name} is {low if high is None else (low, high)}, '
                    'expected 0 or more, in rising order.')
        self.dataset = dataset
        self.pipeline = Compose(pipeline)
        self.num_backgrounds = num_backgrounds
        self.num_foregrounds = tuple(num_foregrounds)
        self.exclude_foreground = exclude_foreground
        self.background_cache = background_cache
        self.max_refetch = max_refetch
        self._resized: ResizedImages | None = None
        self._metainfo = dataset.metainfo
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """dict: The inner dataset's meta information."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Read the source of the inner dataset."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        if self.exclude_foreground and len(self.dataset) == 1:
            raise ValueError(
                'exclude_foreground=True needs at least 2 images, but the '
                'source holds 1; add images or set it to False.')
        if self.background_cache:
            self._resized = ResizedImages(
                num=len(self.dataset), **self.background_cache)
        self._fully_initialized = True

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Get the inner dataset's information on a sample.

        Args:
            idx (int): Index of the sample.

        Returns:
            dict: ``img_path``, ``img_id`` and the like.
        """
        return self.dataset.get_data_info(idx)

    @force_full_init
    def __len__(self) -> int:
        return len(self.dataset)

    @force_full_init
    def __getitem__(self, idx: int) -> dict:
        return self.first_usable(
            idx, lambda drawn: self.pipeline(self._mix(drawn)))

    def _mix(self, idx: int) -> dict:
        """Load a foreground and the images that go with it."""
        results = self.dataset[idx]
        # An unreadable image may have been replaced by another one.
        foreground = dict(
            idx=results.get('sample_idx', idx), path=results['img_path'])
        low, high = self.num_foregrounds
        count = np.random.randint(low, high + 1)
        results['foregrounds'] = [dict(img=results['img'])][:count]
        results['foregrounds'] += self._draw(count - 1, foreground,
                                             self.dataset.__getitem__)
        results['backgrounds'] = self._draw(self.num_backgrounds, foreground,
                                            self._background)
        return results

    def _background(self, idx: int) -> dict:
        """Load an image, or take it out of the cache."""
        if self._resized is None:
            return self.dataset[idx]
        info = self.dataset.get_data_info(idx)
        name = info.get('img_name', info['img_path'])
        img = self._resized.get(idx, name)
        if img is not None:
            return dict(info, img=img, resized=True)
        results = self.dataset[idx]
        if results['img_path'] == info['img_path']:
            self._resized.put(idx, name, results['img'])
        return results

    def _draw(self, num: int, foreground: dict,
              load: Callable[[int], dict]) -> list[dict]:
        """Draw inner samples, none of them ``foreground`` if excluded."""
        drawn: list[dict] = []
        misses = 0
        while len(drawn) < num:
            results = load(self._draw_index(foreground['idx']))
            if not self.exclude_foreground or (results['img_path'] !=
                                               foreground['path']):
                drawn.append(results)
                continue
            # The source repeats the image, or the drawn one is unreadable.
            misses += 1
            if misses > self.max_refetch:
                raise RuntimeError(
                    f'{misses} draws gave the foreground '
                    f'{foreground["path"]!r} itself, expected other images; '
                    'add images to the source or set '
                    'exclude_foreground=False.')
        return drawn

    def _draw_index(self, excluded: int) -> int:
        """Draw an index uniformly, from all or from all but one."""
        if not self.exclude_foreground:
            return np.random.randint(len(self.dataset))
        idx = np.random.randint(len(self.dataset) - 1)
        return idx + (idx >= excluded)
