# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmloc.registry import HOOKS


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Estimate BN statistics anew before each evaluation.

    The running averages of BN lag behind the weights. Before an evaluation,
    and before the checkpoint that goes with it, this hook replaces them by
    plain averages over training batches with the weights fixed.

    mmpretrain's hook of this name runs a model's 'tensor' mode, in which a
    two-stage detector's head meets other regions than in training (all
    proposals, and 100 for the mask head). This one runs the loss.

    Source: the transfer code of InsLoc (``TEST.PRECISE_BN`` of detectron2).

    Args:
        num_iters (int): Batches to average over. Defaults to 200.
    """

    priority = 'LOW'  # before CheckpointHook

    def __init__(self, num_iters: int = 200) -> None:
        if num_iters < 1:
            raise ValueError(
                f'num_iters must be at least 1, got {num_iters}')
        self.num_iters = num_iters

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Estimate if an evaluation follows this iteration."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop) and (
                self.every_n_train_iters(runner, loop.val_interval)
                or self.is_last_train_iter(runner)):
            self.estimate(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Estimate if an evaluation follows this epoch."""
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop) and (
                self.every_n_epochs(runner, loop.val_interval)
                or self.is_last_train_epoch(runner)):
            self.estimate(runner)

    @torch.no_grad()
    def estimate(self, runner: Runner) -> None:
        """Replace the running statistics of every BN layer in training.

        Args:
            runner (Runner): The runner, its model in training mode.

        Raises:
            RuntimeError: If the training data make no batch.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        norms = [
            module for module in model.modules() if
            isinstance(module, _BatchNorm) and module.training
            and module.track_running_stats
        ]
        if not norms:
            return
        former = [(norm.momentum, norm.num_batches_tracked.clone())
                  for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's way to ask for a plain average
        count = 0
        for data in self._batches(runner):
            model(**model.data_preprocessor(data, True), mode='loss')
            count += 1
        if count == 0:
            raise RuntimeError(
                'PreciseBNHook found no batch in train_dataloader; give it '
                'images for one batch at least, or take the hook out')
        for norm, (momentum, tracked) in zip(norms, former, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(tracked)
            all_reduce(norm.running_mean, 'mean')
            all_reduce(norm.running_var, 'mean')
        runner.logger.info(f'Estimated the statistics of {len(norms)} BN '
                           f'layers over {count} batches.')

    def _batches(self, runner: Runner) -> Iterator[Any]:
        """Training batches, taken so that training goes on undisturbed."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            # The loop's own iterator: the end of a second one would also end
            # the stream of an InfiniteSampler, of which there is only one.
            yield from islice(loop.dataloader_iterator, self.num_iters)
            return
        yield from islice(loop.dataloader, self.num_iters)
        # Left in the middle, a batch sampler may keep images for the next
        # epoch, which then gets longer: let it come to its end, without data.
        for _ in loop.dataloader.batch_sampler:
            pass
