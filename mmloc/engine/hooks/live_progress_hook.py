# Copyright (c) mmloc contributors. All rights reserved.
import atexit
import logging
import resource
import sys
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mmloc.registry import HOOKS

_MiB = 1024**2


@HOOKS.register_module()
class LiveProgressHook(Hook):
    """Show one live line on a terminal in place of the logger's many.

    The line has the epoch, a bar over all iterations, the loss, learning
    rate, waiting time for data, rate, time left and memory (of the GPU, or
    of this process on a CPU). Lines of the logger about single iterations
    then go to the log file only; its other lines appear above the bar. If
    the output is not a terminal, or on another rank than 0, the hook does
    nothing.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._streams: list = []

    def before_train(self, runner: Runner) -> None:
        """Show the bar of training."""
        self._open(runner)
        self._add('train', runner.max_iters, runner.iter)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Advance the bar of training."""
        if self._progress is None:
            return
        epochs = getattr(runner.train_loop, 'max_epochs', 0) or 0
        epoch = f'epoch {runner.epoch + 1}/{epochs} ' if epochs > 1 else ''
        self._advance('train', epoch + _numbers(runner), runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Show the bar of validation."""
        self._open(runner)
        self._add('val', len(runner.val_dataloader))

    def after_val_iter(self,
                       runner: Runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Any = None) -> None:
        """Advance the bar of validation."""
        self._advance('val', '', batch_idx + 1)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Take the bar of validation away."""
        if self._progress is not None:
            self._progress.remove_task(self._tasks.pop('val'))

    def before_test_epoch(self, runner: Runner) -> None:
        """Show the bar of testing."""
        self._open(runner)
        self._add('test', len(runner.test_dataloader))

    def after_test_iter(self,
                        runner: Runner,
                        batch_idx: int,
                        data_batch: Any = None,
                        outputs: Any = None) -> None:
        """Advance the bar of testing."""
        self._advance('test', '', batch_idx + 1)

    def after_run(self, runner: Runner) -> None:
        """Give the terminal back."""
        self.close()

    def close(self) -> None:
        """Give the terminal and the logger's streams back; may be called
        more than once."""
        if self._progress is None:
            return
        atexit.unregister(self.close)
        self._progress.stop()
        self._progress = None
        for handler, stream in self._streams:
            handler.setStream(stream)
            handler.removeFilter(_not_about_iterations)
        self._streams = []

    def _open(self, runner: Runner) -> None:
        if (self._progress is not None or not sys.stdout.isatty()
                or not is_main_process()):
            return
        self._tasks: dict = {}
        # Refreshed by hand: a thread that holds the console's lock while a
        # data loader forks would block the worker.
        self._progress = Progress(
            TextColumn('[bold]{task.description}'),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn('{task.fields[numbers]}', markup=False),
            TextColumn('{task.fields[rate]} left'),
            TimeRemainingColumn(compact=True),
            console=Console(file=sys.stdout),
            auto_refresh=False,
            speed_estimate_period=60)
        self._progress.start()
        # Ctrl-C and errors end the program without another call of a hook.
        atexit.register(self.close)
        for handler in runner.logger.handlers:
            stream = getattr(handler, 'stream', None)
            if stream is not None and stream.isatty():
                handler.setStream(sys.stdout)  # rich's, above the bar
                handler.addFilter(_not_about_iterations)
                self._streams.append((handler, stream))

    def _add(self, name: str, total: int, completed: int = 0) -> None:
        if self._progress is not None:
            self._tasks[name] = self._progress.add_task(
                name, total=total, completed=completed, numbers='', rate='')
            self._shown = 0.

    def _advance(self, name: str, numbers: str, completed: int) -> None:
        if self._progress is None:
            return
        task = self._progress.tasks[self._progress.task_ids.index(
            self._tasks[name])]
        rate = f'{task.speed:.2f} it/s' if task.speed else ''
        self._progress.update(
            task.id, completed=completed, numbers=numbers, rate=rate)
        now = self._progress.get_time()
        if now - self._shown > 0.1 or completed == task.total:
            self._progress.refresh()
            self._shown = now


def _not_about_iterations(record: logging.LogRecord) -> bool:
    """Whether a record is not one of LoggerHook's about an iteration."""
    return not (record.module == 'logger_hook'
                and record.funcName.endswith('_iter'))


def _numbers(runner: Runner) -> str:
    """Loss, learning rate, waiting time for data and memory."""
    scalars = runner.message_hub.log_scalars
    parts = [
        f'{label} {scalars[key].current():{style}}'
        for label, key, style in (('loss', 'train/loss', '.4g'),
                                  ('lr', 'train/lr', '.2e'),
                                  ('data', 'train/data_time', '.3f'))
        if key in scalars
    ]
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() / _MiB
    else:  # in KiB on Linux
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return ' '.join([*parts, f'mem {memory:.0f}M'])
