# Copyright (c) mmloc contributors. All rights reserved.
import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmloc.registry import HOOKS

_ADVICE = ('lower the learning rate, check that the target network moves '
           'slowly, that each process has BatchNorm statistics of its own or '
           'bn_splits is set (InsLoc), and that the images differ')


@HOOKS.register_module()
class CollapseMonitorHook(Hook):
    """Measure whether the embeddings still tell regions apart.

    A collapsed network gives every region the same embedding, or uses few
    dimensions of it, while the loss may look good. At every ``interval``-th
    iteration the hook asks the head for its ``statistics`` of the batch of
    this process, and puts them among the scalars of training, from where they
    reach the log and every backend of the visualizer:

    - ``std``: standard deviation of the online embeddings, 1 if they are
      evenly spread, 0 if they are all the same; the lowest of all levels, or
      directions of the loss. ``target_std``: that of the target (SoCo).
    - ``rank``: effective rank, the number of dimensions that they fill; the
      lowest likewise.
    - ``pos_sim``, ``neg_sim``: mean cosine of regions that show the same
      thing, and of others.
    - ``queue_age``: number of iterations that a key stays in the queue
      (InsLoc).

    Low values over several measures lead to a warning. Models whose head has
    no ``statistics`` are left alone.

    Args:
        interval (int): Number of iterations from one measure to the next.
            Defaults to 50.
        min_std (float): A ``std`` below it is low. Defaults to 0.1.
        min_rank (float): A ``rank`` below it is low; of fewer than twice as
            many regions, one below half their number. Defaults to 4.
        begin (int): Nothing is low in the first iterations, in which
            embeddings have not spread out yet. Defaults to 1000.
        patience (int): Number of low measures in a row that lead to a
            warning. Defaults to 3.

    Raises:
        ValueError: ``interval`` or ``patience`` is below 1.
    """

    def __init__(self,
                 interval: int = 50,
                 min_std: float = 0.1,
                 min_rank: float = 4.,
                 begin: int = 1000,
                 patience: int = 3) -> None:
        for name, value in (('interval', interval), ('patience', patience)):
            if value < 1:
                raise ValueError(f'{name} is {value}, expected 1 or more.')
        self.interval = interval
        self.min_std = min_std
        self.min_rank = min_rank
        self.begin = begin
        self.patience = patience
        self._measured: list[dict[str, Tensor]] = []
        self._low = dict(std=0, rank=0)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Listen to what the head is given.

        Args:
            runner (Runner): The runner and its model.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
        """
        head = _head_of(runner)
        if not hasattr(head, 'statistics') or not self.every_n_train_iters(
                runner, self.interval):
            return
        loss = head.loss

        def measured_loss(*args):
            self._measured.append(head.statistics(*args))
            return loss(*args)

        # Of the instance; taken away again below.
        head.loss = measured_loss

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Log what was measured.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        head = _head_of(runner)
        if 'loss' in getattr(head, '__dict__', ()):
            del head.loss
        measured, self._measured = [x for x in self._measured if x], []
        if not measured:
            return
        values = {
            name: torch.cat([x[name] for x in measured])
            for name in measured[0]
        }
        max_rank = values.pop('max_rank').min().item()
        scalars = {
            name: (x.mean() if name.endswith('_sim') else x.min()).item()
            for name, x in values.items()
        }
        if not all(map(math.isfinite, scalars.values())):
            return  # the business of NonFiniteHook
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        if runner.iter >= self.begin:
            self._judge(runner, scalars, max_rank)

    def _judge(self, runner: Runner, scalars: dict[str, float],
               max_rank: float) -> None:
        """Warn about what has been low for long."""
        self._count(
            runner, 'std', scalars['std'] < self.min_std,
            'The embeddings of different regions are nearly the same: their '
            f'standard deviation is {scalars["std"]:.3f} of that of evenly '
            f'spread ones, expected {self.min_std} or more')
        self._count(
            runner, 'rank',
            scalars['rank'] < min(self.min_rank, max_rank / 2),
            f'The embeddings fill {scalars["rank"]:.1f} dimensions of '
            f'{max_rank:.0f} that they could fill in this batch, expected '
            f'{self.min_rank:g} or more')

    def _count(self, runner: Runner, name: str, low: bool,
               what: str) -> None:
        if low:
            self._low[name] += 1
            if self._low[name] == self.patience:
                runner.logger.warning(
                    f'Collapse? {what}, for {self.patience} measures in a '
                    f'row, the last in iteration {runner.iter + 1}: '
                    f'{_ADVICE}.')
            return
        if self._low[name] >= self.patience:
            runner.logger.info(f'The {name} of the embeddings is no longer '
                               f'low in iteration {runner.iter + 1}.')
        self._low[name] = 0


def _head_of(runner: Runner) -> Any:
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    return getattr(model, 'head', None)
