# Copyright (c) mmloc contributors. All rights reserved.
import copy

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import MultiBranch as MMDetMultiBranch

from mmloc import photometric
from mmloc.registry import TRANSFORMS
from mmloc.resampling import DeferredImage

from .steps import Steps, make_pixels, takes_deferred

#: Longest side of an image that is resampled later: the batch is filled up.
_MAX_SIDE = 2**13


@TRANSFORMS.register_module()
class MultiBranch(MMDetMultiBranch):
    """mmdet's ``MultiBranch`` without a copy of all pixels for each branch.

    Branches share every ``img`` until a transform comes that is not mmloc's:
    it gets a copy of the sample's, and may write into it. Images within lists
    and dicts stay shared, so nobody may write into these.

    Args:
        branch_field (list[str]): Names of the branches.
        **branch_pipelines: By name, its transforms.
    """

    def __init__(self, branch_field: list[str], **branch_pipelines) -> None:
        super().__init__(branch_field, **branch_pipelines)
        self.branch_pipelines = {
            name: Steps(pipeline.transforms)
            for name, pipeline in self.branch_pipelines.items()
        }

    def transform(self, results: dict) -> dict | None:
        """Run every branch on a copy of the sample.

        Args:
            results (dict): Result dict.

        Returns:
            dict or None: Each key of the branches' results, a dict by
            branch; None if a branch gives the sample up.
        """
        packed: dict = {}
        for name, pipeline in self.branch_pipelines.items():
            branch = pipeline(fork(results))
            if branch is None:
                return None
            _check_colours(name, results, branch)
            for key, value in branch.items():
                packed.setdefault(key, {})[name] = value
        return packed


@TRANSFORMS.register_module()
class MultiView(BaseTransform):
    """Make any number of named views of an image that share instances.

    1. The geometric ``transforms`` of each view run on the sample, or on the
       view named ``source``.
    2. ``select`` sees all views at once and gives each its boxes. If it
       returns None, all views are made anew, up to ``max_tries`` times; then
       the sample is given up and the dataset draws another.
    3. The rest of each view's pipeline, ``then``, runs: flips, colours and
       packing, independent of the other views.

    The output is that of mmdet's ``MultiBranch``, but the image is only
    copied for views with transforms that are not mmloc's, which may write
    into it.

    Where colours are left to the data preprocessor
    (:class:`.DeferPhotometric`), so are crops, resizes and flips: the
    transforms of mmloc only note them, and all views share the decoded
    image, which travels once. Boxes, sizes and random draws are the same,
    and so are the pixels in the end. Any other transform gets a view whose
    pixels have been made, with the colours that were drawn before it. Before
    a second resize, such as that of a view with a ``source``, pixels are made,
    too.

    **Required Keys:**

    - img (np.uint8): (H, W, 3).
    - img_shape (tuple[int, int]): (H, W).
    - What the transforms and ``select`` need.

    **Modified Keys:**

    - Every key of the packed views, such as ``inputs`` and ``data_samples``:
      a dict of one value by view.

    Args:
        views (dict[str, dict]): By name:
            ``transforms`` (list, geometric ones; crops and resizes of mmdet
            that keep ``homography_matrix``), ``then`` (list, up to packing)
            and optionally ``source`` (str, another view, whose result after
            its ``transforms`` is the start of this one; it is made first).
        select (dict): Transform of ``{'views': {name: results}, 'attempt':
            int}`` and the sample's own keys, such as
            :class:`SelectMatches`. ``attempt`` counts from 0.
        max_tries (int): How often the views of a sample are made.
            Defaults to 5.
        max_deferred (int): The views of an image of more pixels are made
            here, since it would travel whole. 0 for all. Defaults to 2**20.

    Raises:
        ValueError: A view has unknown keys or a ``source`` that is no
            other view, ``max_tries`` is below 1 or ``max_deferred`` below 0.

    Examples:
        >>> # SoCo's third view as the paper words it: the second one, halved.
        >>> crop = dict(type='mmloc.RandomResizedCrop', scale=224,
        ...             crop_ratio_range=(0.5, 1.0))
        >>> whole = dict(type='Resize', scale=(224, 224), backend='pillow')
        >>> half = dict(type='Resize', scale=(112, 112), backend='pillow')
        >>> then = [dict(type='RandomFlip', prob=0.5),
        ...         dict(type='mmloc.PackRegionInputs')]
        >>> dict(
        ...     type='mmloc.MultiView',
        ...     views=dict(
        ...         view1=dict(transforms=[whole], then=then),
        ...         view2=dict(transforms=[crop], then=then),
        ...         view3=dict(source='view2', transforms=[half], then=then)),
        ...     select=dict(
        ...         type='mmloc.SelectMatches',
        ...         pairs=[dict(views=('view1', 'view2')),
        ...                dict(views=('view1', 'view3'))]))
    """

    def __init__(self,
                 views: dict[str, dict],
                 select: dict,
                 max_tries: int = 5,
                 max_deferred: int = 2**20) -> None:
        if max_tries < 1:
            raise ValueError(f'max_tries is {max_tries}, expected 1 or more.')
        if max_deferred < 0:
            raise ValueError(
                f'max_deferred is {max_deferred}, expected 0 or more.')
        for name, view in views.items():
            _check_view(name, view)
        views = _sources_first(views)
        self.sources = {name: v.get('source') for name, v in views.items()}
        self.geometry = {
            name: Steps(view.get('transforms', []))
            for name, view in views.items()
        }
        self.select = TRANSFORMS.build(select)
        self.then = {
            name: Steps(view['then'])
            for name, view in views.items()
        }
        self.max_tries = max_tries
        self.max_deferred = max_deferred

    def transform(self, results: dict) -> dict | None:
        """Make the views.

        Args:
            results (dict): Result dict with ``img``.

        Returns:
            dict or None: Packed views, None if the sample is of no use.
        """
        shared = self._defer(results)
        for attempt in range(self.max_tries):
            views = self._make_views(shared)
            if views and not takes_deferred(self.select):
                for view in views.values():
                    make_pixels(view, shared=True)
            joint = views and self.select(
                dict(results, views=views, attempt=attempt))
            if joint:
                break
        else:
            return None
        packed: dict = {}
        for name, view in joint['views'].items():
            result = self.then[name](view)
            if result is None:
                return None
            _check_colours(name, view, result)
            for key, value in result.items():
                packed.setdefault(key, {})[name] = value
        return packed

    def _defer(self, results: dict) -> dict:
        """Let what becomes of the image only be noted, if it may be."""
        img = results['img']
        if (results.get(photometric.KEY) is None
                or img.shape[2:] != (3, ) or img.dtype != np.uint8
                or img.shape[0] * img.shape[1] > self.max_deferred
                or max(img.shape) > _MAX_SIDE):
            return results
        return dict(results, img=DeferredImage(img))

    def _make_views(self, results: dict) -> dict | None:
        """Run the geometric transforms of every view."""
        views: dict = {}
        for name, geometry in self.geometry.items():
            view = fork(views.get(self.sources[name], results))
            # In float64, or the errors of the float32 factors add up.
            view.setdefault('homography_matrix', np.eye(3))
            views[name] = geometry(view)
            if views[name] is None:
                return None
        return views

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(geometry={self.geometry}, '
                f'sources={self.sources}, select={self.select}, '
                f'then={self.then}, max_tries={self.max_tries}, '
                f'max_deferred={self.max_deferred})')


def fork(results: dict) -> dict:
    """Copy a result dict, also within lists and dicts, but for the pixels.

    Args:
        results (dict): Result dict; what ``img`` names at any depth is
            shared with the copy; :class:`.Steps` minds that.

    Returns:
        dict: The copy.
    """
    return {
        key: value if key == 'img' or type(value) in _SHARED else _copy(value)
        for key, value in results.items()
    }


#: The kinds of most values: deepcopy takes ten times as long to say so.
_SHARED = frozenset({str, int, float, bool, tuple, type(None)})


def _copy(value):
    if type(value) in _SHARED:
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return fork(value)
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return copy.deepcopy(value)


def _check_colours(name: str, view: dict, packed: dict) -> None:
    """Raise ValueError if drawn colours have been lost in packing."""
    if (view.get(photometric.KEY) is not None
            and photometric.KEY not in packed.get('data_samples', ())):
        raise ValueError(
            f'The colours of view {name!r} were drawn, but packing has left '
            'them out, so that they would never be changed; pack by '
            'mmloc.PackRegionInputs, or leave out DeferPhotometric.')


def _sources_first(views: dict) -> dict:
    """Put each view behind its source; a dumped config sorts its keys."""
    ordered: dict = {}
    while len(ordered) < len(views):
        ready = [
            name for name, view in views.items() if name not in ordered
            and view.get('source') in (None, *ordered)
        ]
        if not ready:
            name = next(x for x in views if x not in ordered)
            raise ValueError(
                f'The source of view {name!r} is {views[name]["source"]!r}, '
                f'expected another one of the views {list(views)} that is not '
                'itself made from this one.')
        ordered[ready[0]] = views[ready[0]]
    return ordered


def _check_view(name: str, view: dict) -> None:
    """Raise ValueError if a view's config is wrong."""
    if set(view) - {'source'} not in ({'transforms', 'then'}, {'then'}):
        raise ValueError(
            f'View {name!r} has the keys {sorted(view)}, expected '
            "'transforms' and 'then', perhaps with 'source'.")
