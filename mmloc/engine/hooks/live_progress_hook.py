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
from rich.table import Column

from mmloc.registry import HOOKS


@HOOKS.register_module()
class LiveProgressHook(Hook):
    """Show one live line on a terminal in place of the logger's many.

    The line has the epoch, a bar over all iterations, the time left, rate,
    loss, learning rate, share of time spent waiting for data, and memory (of
    the GPU, or of this process on a CPU). Lines of the logger about single
    iterations then go to the log file only; its other lines appear above the
    bar. If the output is not a terminal, or on another rank than 0, the hook
    does nothing.
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
        epoch = f'epoch {runner.epoch + 1}/{epochs}' if epochs > 1 else 'train'
        self._advance('train', runner.iter + 1, epoch, _numbers(runner))

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
        self._advance('val', batch_idx + 1)

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
        self._advance('test', batch_idx + 1)

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
            TextColumn('{task.description}', table_column=_fixed()),
            BarColumn(bar_width=8),
            MofNCompleteColumn(table_column=_fixed()),
            TimeRemainingColumn(compact=True, table_column=_fixed()),
            # What a narrow terminal has no room for is cut off here.
            TextColumn(
                '{task.fields[numbers]}',
                markup=False,
                table_column=_fixed(overflow='crop', ratio=1)),
            console=Console(file=sys.stdout),
            expand=True,
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
                name, total=total, completed=completed, numbers='')
            self._shown = 0.

    def _advance(self,
                 name: str,
                 completed: int,
                 description: str | None = None,
                 numbers: str = '') -> None:
        if self._progress is None:
            return
        task = next(task for task in self._progress.tasks
                    if task.id == self._tasks[name])
        rate = f'{task.speed:.2f} it/s ' if task.speed else ''
        self._progress.update(
            task.id,
            completed=completed,
            description=description,
            numbers=rate + numbers)
        now = self._progress.get_time()
        if now - self._shown > 0.1 or completed == task.total:
            self._progress.refresh()
            self._shown = now


def _fixed(**kwargs) -> Column:
    return Column(no_wrap=True, **kwargs)


def _not_about_iterations(record: logging.LogRecord) -> bool:
    """Whether a record is not one of LoggerHook's about an iteration."""
    return not (record.module == 'logger_hook'
                and record.funcName.endswith('_iter'))


def _numbers(runner: Runner) -> str:
    """Loss (mean of 10), learning rate, time spent waiting for data, and
    memory."""
    scalars = runner.message_hub.log_scalars
    parts = []
    if 'train/loss' in scalars:
        parts.append(f'loss {scalars["train/loss"].mean(10):.4g}')
    if 'train/lr' in scalars:
        parts.append(f'lr {scalars["train/lr"].current():.1e}')
    if 'train/data_time' in scalars:
        wait = scalars['train/data_time'].mean(10)
        parts.append(f'data {wait / scalars["train/time"].mean(10):.0%}')
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() / 1024**3
    else:  # in KiB on Linux
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return ' '.join([*parts, f'mem {memory:.1f}G'])
