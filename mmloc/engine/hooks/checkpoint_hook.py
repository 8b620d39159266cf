# Copyright (c) mmloc contributors. All rights reserved.
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from mmloc.registry import HOOKS

from ..checkpoint_files import CheckpointWriteError, replacing


class _LateRemoval:
    """A file backend that removes files only when it is told to."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._outdated: list = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._outdated.append((self._backend.remove, path))

    def rmtree(self, path: str) -> None:
        self._outdated.append((self._backend.rmtree, path))

    def finish(self) -> None:
        for remove, path in self._outdated:
            remove(path)


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's hook, which loses no checkpoint when a save fails.

    An outdated checkpoint is removed, and ``last_checkpoint`` renamed to its
    place, after the new checkpoint is on the disk. A save that fails is
    reported and changes nothing; training goes on and the next save is its
    next chance, up to ``max_failures`` in a row. The save at the end of the
    training may not fail, nor one to storage with an address (``s3://...``).

    Args:
        max_failures (int): Number of failed saves in a row that stop the
            training. Defaults to 3.
        **kwargs: Of mmengine's hook.
    """

    def __init__(self, *args, max_failures: int = 3, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if max_failures < 1:
            raise ValueError(
                f'max_failures must be at least 1, got {max_failures}')
        self.max_failures = max_failures
        self._failures = 0
        self._saved_iter = None

    def interrupt(self, runner: Runner, iters: int) -> None:
        """Save ``interrupted.pth`` between two iterations, unless all that it
        takes to go on has just been saved.

        It holds optimizer and schedules even if other checkpoints do not.

        Args:
            runner (Runner): The runner.
            iters (int): Number of iterations that are done.

        Raises:
            CheckpointWriteError: It could not be written.
        """
        if self._saved_iter == iters:
            return
        chosen = self.save_optimizer, self.save_param_scheduler
        self.save_optimizer = self.save_param_scheduler = True
        try:
            self._write(runner, 'interrupted.pth',
                        dict(epoch=runner.epoch, iter=iters), by_epoch=False)
        finally:
            self.save_optimizer, self.save_param_scheduler = chosen

    def _save_checkpoint(self, runner: Runner) -> None:
        with self._surviving(runner):
            super()._save_checkpoint(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._surviving(runner):
            super()._save_best_checkpoint(runner, metrics)

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        ids = []
        if self.max_keep_ckpts > 0:
            ids = [x for x in self.keep_ckpt_ids if x != step] + [step]
            # With the outdated one: a run killed before it is removed below
            # does so when it is resumed.
            runner.message_hub.update_info('keep_ckpt_ids', ids)
            self.keep_ckpt_ids = deque(ids, self.max_keep_ckpts)
        self._write(runner, self.filename_tmpl.format(step), meta,
                    self.by_epoch)
        for outdated in ids[:-self.max_keep_ckpts]:
            path = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(outdated))
            if is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)

    def _write(self, runner: Runner, name: str, meta: dict,
               by_epoch: bool) -> None:
        """Save a checkpoint, then say that it is the last one."""
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if self.save_optimizer and self.save_param_scheduler:
            self._saved_iter = meta['iter']
        if not is_main_process():
            return
        with replacing(Path(runner.work_dir, 'last_checkpoint')) as marker:
            marker.write_text(self.last_ckpt)

    @contextmanager
    def _surviving(self, runner: Runner) -> Iterator[None]:
        """Let training go on after a failed save as if there was none."""
        books, info = self._books(), dict(runner.message_hub.runtime_info)
        backend = self.file_backend
        self.file_backend = late = _LateRemoval(backend)
        try:
            yield
        except CheckpointWriteError as error:
            self._failures += 1
            vars(self).update(books)
            runner.message_hub.runtime_info.clear()
            runner.message_hub.runtime_info.update(info)
            last = self.is_last_train_iter(runner) or runner.iter >= (
                runner.max_iters)
            if last or self._failures >= self.max_failures:
                raise
            runner.logger.error(
                f'{error}; training goes on without this checkpoint '
                f'({self._failures} failed, {self.max_failures} in a row '
                'stop it).')
        else:
            self._failures = 0
            late.finish()
        finally:
            self.file_backend = backend

    def _books(self) -> dict:
        """Copy what the hook remembers of its files."""
        return {
            name: value.copy() if hasattr(value, 'copy') else value
            for name, value in vars(self).items()
            if name in ('last_ckpt', 'keep_ckpt_ids', 'best_ckpt_path',
                        'best_ckpt_path_dict')
        }
