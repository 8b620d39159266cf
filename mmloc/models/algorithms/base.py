# Copyright (c) mmloc contributors. All rights reserved.
"""Base of the algorithms that learn from regions with a target network.

Legend of the shapes in this package: N images of a batch, K instances of an
image, R regions of a batch (the sum of all K), L levels of the feature
pyramid, C channels, Q length of the queue, S side of a pooled region.
"""
from collections.abc import Iterable, Sequence

import torch
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from mmloc import photometric
from mmloc.registry import MODELS


class MomentumRegionLearner(BaseSelfSupervisor):
    """Online network shaped like a detector, with a momentum target.

    The online parts are attributes with the names that an mmdet two-stage
    detector gives them (``backbone``, ``neck``, ``roi_head``), so a detector
    loads a checkpoint of pretraining as it is. Only ``projector``, ``target``
    and ``head`` serve the pretext task.

    Subclasses implement ``loss``.

    Args:
        backbone (dict): Config of the backbone.
        neck (dict, optional): Config of the neck, which returns L levels.
            None pools from the backbone's maps (C4).
        roi_head (dict): Config of a :class:`RegionEncoder`.
        projector (dict): Config of the module that maps encoded regions to
            embeddings, (R, C_in) to (R, C). R may be 0.
        head (dict): Config of the loss head.
        target (dict): Config of the :class:`MomentumTarget`.
        stack_levels (bool): Whether the levels pass box head and projector
            as one batch, sharing the BatchNorm statistics (InsLoc), or one
            after the other (SoCo). Defaults to False.
        bn_splits (int): Number of equal parts into which a batch is cut.
            They pass the networks one after the other, each with its own
            BatchNorm statistics, as if each were on a GPU of its own. A
            single process needs more than 1, or query and key of a sample
            share their statistics and give themselves away. Defaults to 1,
            as published for several GPUs.
        channels_last (bool): Whether images, maps and the weights of
            convolutions lie in channels-last order in memory, which oneDNN
            and cuDNN run faster. Results differ by rounding. Defaults to
            True.
        join_parts (bool): Whether the regions of all views, box sets and
            levels pass the layers of box head, projector and predictor at
            once, and one after the other only where BatchNorm takes
            statistics. It is faster, holds more in memory for a while, and
            results differ by rounding. Defaults to True.
        data_preprocessor (dict | nn.Module): The data preprocessor, which
            returns a dict of views.
        init_cfg (dict, optional): Initialisation. Defaults to None.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None,
                 roi_head: dict,
                 projector: dict,
                 head: dict,
                 target: dict,
                 data_preprocessor: dict | nn.Module,
                 stack_levels: bool = False,
                 bn_splits: int = 1,
                 channels_last: bool = True,
                 join_parts: bool = True,
                 init_cfg: dict | None = None) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        self.roi_head = MODELS.build(roi_head)
        self.projector = MODELS.build(projector)
        self.stack_levels = stack_levels
        if bn_splits < 1:
            raise ValueError(
                f'bn_splits is {bn_splits}, but it must be 1 or more.')
        self.bn_splits = bn_splits
        self.join_parts = join_parts
        self.target = MODELS.build(dict(target, model=self.online))
        self.memory_format = (
            torch.channels_last if channels_last else torch.contiguous_format)
        self.to(memory_format=self.memory_format)

    @property
    def online(self) -> nn.ModuleDict:
        """The parts of the online network that the target copies."""
        parts = ['backbone', 'neck', 'roi_head', 'projector']
        if not self.with_neck:
            parts.remove('neck')
        return nn.ModuleDict({name: getattr(self, name) for name in parts})

    @property
    def num_levels(self) -> int:
        """Number of levels L from which regions are pooled."""
        return self.roi_head.bbox_roi_extractor.num_inputs

    def init_weights(self) -> None:
        """Initialise the online network and copy it to the target."""
        super().init_weights()
        self.target.copy_from(self.online)

    def compile(self, *args, **kwargs) -> None:
        """Let ``torch.compile`` compile backbone and neck of both networks.

        What comes behind them depends on numbers of boxes. Names of weights
        stay as they are. ``compile=True`` in a config, or a dict of
        arguments, calls this.

        Args:
            *args: Of ``torch.compile``.
            **kwargs: Of ``torch.compile``.
        """
        for net in (self, self.target.module):
            net.backbone.compile(*args, **kwargs)
            if self.with_neck:
                net.neck.compile(*args, **kwargs)

    def forward(self,
                inputs: dict[str, Tensor],
                data_samples: dict[str, list] | None = None,
                mode: str = 'tensor') -> dict | Tensor | tuple:
        """mmpretrain's entry for all modes.

        Args:
            inputs (Dict[str, Tensor]): The views, each (N, 3, H, W).
            data_samples (Dict[str, List[DetDataSample]], optional): N samples
                of each view.
            mode (str): ``'loss'`` or ``'tensor'``. Defaults to 'tensor'.

        Returns:
            Dict | Tensor | Tuple: What the mode gives.

        Raises:
            ValueError: Colours that the loader left to the data preprocessor
                are still unchanged.
        """
        for view, samples in (data_samples or {}).items():
            if photometric.KEY in samples[0]:
                raise ValueError(
                    f'The colours of {view!r} were drawn but not changed by '
                    f'{type(self.data_preprocessor).__name__}, expected '
                    'mmloc.PhotometricDataPreprocessor within it; use that, '
                    'or leave out DeferPhotometric.')
        return super().forward(inputs, data_samples, mode)

    def encode(self, net: nn.Module,
               views: Sequence[tuple]) -> list[list[list[Tensor]]]:
        """Embed regions of views by the online or the target network.

        Args:
            net (nn.Module): ``self`` or ``self.target.module``.
            views (Sequence[Tuple[Tensor, Sequence]]): Each a view (N, 3, H,
                W) and its sets of boxes. Each set passes box head and
                projector as BatchNorm batches of its own. It holds, for each
                of the L levels, the boxes to pool from it: N tensors of shape
                (K, 4), xyxy in pixels of the view.

        Returns:
            list[list[list[Tensor]]]: For each view and set, one tensor of
            shape (R, C) per tensor that the RoI extractor returns (L of
            them, or one), not normalised, image by image in the order of the
            boxes.
        """
        pooled = [
            self._pool(net, x, box_sets) for view in views
            for x, box_sets in self._bn_batches(*view)
        ]
        regions = [levels for box_sets in pooled for levels in box_sets]
        regions = self.map_parts(net.roi_head, regions)
        embedded = iter(self.map_parts(net.projector, regions))
        batches = [[self._unstack(next(embedded)) for _ in box_sets]
                   for box_sets in pooled]
        splits = len(batches) // len(views)
        return [[[torch.cat(level) for level in zip(*box_set)]
                 for box_set in zip(*batches[i:i + splits])]
                for i in range(0, len(batches), splits)]

    def map_parts(self, module: nn.Module,
                  groups: Iterable[Sequence[Tensor]]) -> list[list[Tensor]]:
        """Pass regions through a module, each part as a BatchNorm batch.

        Args:
            module (nn.Module): Maps (R, ...) to (R, C). With ``join_parts``
                its ``forward_parts`` is called, if it has one, which takes
                and returns a list of such parts.
            groups (Iterable[Sequence[Tensor]]): Groups of parts of shape
                (R, ...), R of each its own, also 0.

        Returns:
            list[list[Tensor]]: The groups again, parts of shape (R, C).
        """
        groups = [list(group) for group in groups]
        parts = [part for group in groups for part in group]
        if self.join_parts and hasattr(module, 'forward_parts'):
            mapped = iter(module.forward_parts(parts))
        else:
            mapped = map(module, parts)
        return [[next(mapped) for _ in group] for group in groups]

    def _bn_batches(self, x: Tensor, box_sets: Sequence) -> list[tuple]:
        """Cut a view into the ``bn_splits``, its boxes likewise."""
        if self.bn_splits == 1:
            return [(x, box_sets)]
        size = -(-len(x) // self.bn_splits)
        return [(x[i:i + size], [[level[i:i + size] for level in box_set]
                                 for box_set in box_sets])
                for i in range(0, len(x), size)]

    def _pool(self, net: nn.Module, x: Tensor,
              box_sets: Sequence) -> list[list[Tensor]]:
        """Pool the regions of each set from each level, or all levels as
        one part if they are stacked."""
        feats = net.backbone(x.contiguous(memory_format=self.memory_format))
        if self.with_neck:
            feats = net.neck(feats)
        pooled = net.roi_head.extract(feats, box_sets, x.shape[-2:])
        if not self.stack_levels:
            return pooled
        return [[torch.stack(levels, dim=1).flatten(0, 1)]
                for levels in pooled]

    def _unstack(self, embeddings: list[Tensor]) -> list[Tensor]:
        """Take stacked levels apart again."""
        if not self.stack_levels:
            return embeddings
        stacked, = embeddings
        shape = (len(stacked) // self.num_levels, self.num_levels)
        return list(stacked.unflatten(0, shape).unbind(dim=1))
