# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Mapping

from mmdet.models import MultiBranchDataPreprocessor

from mmloc.registry import MODELS
from mmloc.utils.flat_batch import FlatBatch, OwnBatch


@MODELS.register_module()
class MultiViewDataPreprocessor(MultiBranchDataPreprocessor):
    """mmdet's preprocessor of views that takes a flat batch in one piece.

    Of ``mmloc.flat_collate`` it gets one buffer, and copies that to the
    device: without waiting, if it is pinned and the inner preprocessor is
    ``non_blocking``. All other batches go mmdet's way, and so do flat ones
    that somebody has looked into before, and may have changed.

    Args:
        data_preprocessor (dict): Of the views, such as
            :class:`PhotometricDataPreprocessor`.
    """

    def forward(self, data: Mapping, training: bool = False) -> dict:
        """Preprocess all views.

        Args:
            data (Mapping): ``inputs`` and ``data_samples``, each a dict of
                lists by view.
            training (bool): Whether it is for training. Defaults to False.

        Returns:
            dict: ``inputs``, {view: (N, 3, H, W)}, and ``data_samples``,
            {view: list of N}.

        Raises:
            ValueError: Something in a batch for training has no views.
        """
        inner = self.data_preprocessor
        if not training:
            return super().forward(data, training)
        if not isinstance(data, FlatBatch) or data.opened:
            _check_views(data)
            return super().forward(data, training)
        batch = data.unpack(inner.device, non_blocking=inner._non_blocking)
        _check_views(batch)
        views = {
            view: inner(
                OwnBatch({
                    key: [x for x in value[view] if x is not None]
                    for key, value in batch.items()
                }), training)
            for view in batch['inputs']
        }
        keys = next(iter(views.values()))
        return {key: {view: views[view][key] for view in views}
                for key in keys}


def _check_views(batch: Mapping) -> None:
    """Make sure that all is given by view."""
    for key in ('inputs', *batch):
        value = batch[key]
        found = (sorted(value) if isinstance(value, Mapping) else
                 f'a {type(value).__name__}')
        if not isinstance(value, Mapping) or set(value) != set(
                batch['inputs']):
            raise ValueError(
                f'{key!r} of the batch is {found}, expected a dict of the '
                'views, the same as those of inputs; end the pipeline with '
                'MultiView or MultiBranch, or set the inner data preprocessor '
                f'in place of {MultiViewDataPreprocessor.__name__}.')
