# Copyright (c) mmloc contributors. All rights reserved.
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner

from mmloc.registry import HOOKS

from .checkpoint_hook import CheckpointHook


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Save a checkpoint and leave when a signal asks for it.

    The iteration in which the signal arrives is finished, and so are those
    whose gradients are accumulated with it. Then ``interrupted.pth`` is
    saved, from which ``--resume`` goes on as if nothing had been, and the
    program ends with ``exit_code``. Of several processes any may get the
    signal: all leave after the same iteration, the next but one at latest.

    Before a validation begins the hook looks once more. A signal during one
    is heeded after it and the next iteration; such a stop, like one before
    the first iteration, costs time but no training.

    The workers of the data loader ignore the signals unless the training
    itself sends them, so that a signal to a whole process group or Slurm
    step does not take the data from the last iteration. Other processes that
    are forked meanwhile, such as the pool of VOC's evaluation, end by SIGTERM
    as always.

    Args:
        signals (Sequence[str]): Names of the signals. Defaults to
            ('SIGTERM', 'SIGUSR1').
        exit_code (int): Status with which the program ends. Defaults to 85.

    Raises:
        ValueError: If there is no such signal, or the code is none.
    """

    priority = 'LOWEST'  # after CheckpointHook

    def __init__(self,
                 signals: Sequence[str] = ('SIGTERM', 'SIGUSR1'),
                 exit_code: int = 85) -> None:
        names = signal.Signals.__members__
        if wrong := [name for name in signals if name not in names]:
            raise ValueError(f'{wrong[0]!r} is not the name of a signal, '
                             "expected one such as 'SIGTERM'")
        if not 3 <= exit_code <= 125:
            raise ValueError(
                f'exit_code is {exit_code}, expected 3 to 125: 0, 1 and 2 '
                'mean success, a defect and a mistake')
        self.signals = [signal.Signals[name] for name in signals]
        self.exit_code = exit_code
        self._received: int | None = None
        self._stop = False
        self._vote: tuple | None = None
        self._group = None

    def before_train(self, runner: Runner) -> None:
        """Listen to the signals.

        Args:
            runner (Runner): The runner, its data loaders built.
        """
        if threading.current_thread() is not threading.main_thread():
            runner.logger.warning('Signals do not stop this training: it runs '
                                  'in a thread, which cannot catch them.')
            return
        _heard.update(self.signals)
        self._former = {x: signal.signal(x, self._note) for x in self.signals}
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, 'dataloader', None)
            if loader is not None and loader.num_workers > 0:
                loader.worker_init_fn = partial(
                    _shield, signals=self.signals, then=loader.worker_init_fn)
        if get_world_size() > 1:
            # Not the group of the gradients: it may live on the GPUs, which
            # a look at its result would make wait for.
            self._group = torch_dist.new_group(backend='gloo')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Leave if a signal came.

        Raises:
            SystemExit: With ``exit_code``, the checkpoint saved.
        """
        self._stop = self._stop or self._agreed()
        self._leave_if_told(runner, runner.iter + 1)

    def before_val(self, runner: Runner) -> None:
        """Leave if a signal came, instead of beginning a long validation.

        Raises:
            SystemExit: With ``exit_code``, the checkpoint saved.
        """
        if not hasattr(self, '_former'):  # a validation without training
            return
        # With several processes the first answer is about the time before
        # the last iteration, and the second about now.
        self._stop = any([self._agreed(), self._agreed(), self._stop])
        self._leave_if_told(runner, runner.iter)

    def _leave_if_told(self, runner: Runner, iters: int) -> None:
        steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if not self._stop or iters % steps:
            return
        saver = next((hook for hook in runner.hooks
                      if isinstance(hook, CheckpointHook)), None)
        if saver is None:
            saver = CheckpointHook()
            saver.before_train(runner)
        saver.interrupt(runner, iters)
        barrier()
        runner.logger.warning(
            f'{self._reason()}: saved {saver.last_ckpt} after iteration '
            f'{iters} of {runner.max_iters}; {_outlook(runner.train_loop)}.')
        self.after_train(runner)
        runner.call_hook('after_run')
        raise SystemExit(self.exit_code)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back to those who had them before."""
        if self._vote is not None:
            self._vote[1].wait()
            self._vote = None
        _heard.clear()
        for number, handler in vars(self).pop('_former', {}).items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self._received = number

    def _reason(self) -> str:
        if self._received is None:
            return 'Stopped with another process that got a signal'
        return f'Stopped by {signal.Signals(self._received).name}'

    def _agreed(self) -> bool:
        """Whether any process had a signal, the same answer in all.

        With several processes it is that of the iteration before, which
        travelled during this one.
        """
        if self._group is None:
            return self._received is not None
        answer = False
        if self._vote is not None:
            told, work = self._vote
            work.wait()
            answer = bool(told)
        told = torch.tensor(int(self._received is not None))
        work = torch_dist.all_reduce(
            told, torch_dist.ReduceOp.MAX, self._group, async_op=True)
        self._vote = told, work
        return answer


#: Signals that a hook listens to. A forked process must not inherit the
#: handler of SIGTERM, by which pools end their workers and wait for it. What
#: is sent to it in the middle of the fork, Python would drop: it comes after.
_heard: set[int] = set()


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _heard)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _heard)


def _release_child() -> None:
    # Not by _heard: a training that raised leaves its handler behind.
    handler = signal.getsignal(signal.SIGTERM)
    if getattr(handler, '__func__', None) is StopOnSignalHook._note:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release()


os.register_at_fork(
    before=_hold, after_in_parent=_release, after_in_child=_release_child)


def _outlook(loop: BaseLoop) -> str:
    """Say what ``--resume`` will do."""
    if getattr(loop, 'resumable', False) or isinstance(
            loop, IterBasedTrainLoop):
        return '--resume goes on from there'
    return ('--resume has these weights but begins the data of the epoch '
            f'anew, because {type(loop).__name__} cannot begin in its middle '
            'with this data loader; to lose nothing, use '
            'mmloc.EpochBasedTrainLoop or mmloc.IterBasedTrainLoop and '
            'describe the data loader in the config')


def _shield(worker_id: int, signals: Sequence[int],
            then: Callable | None) -> None:
    """Keep signals from a worker, except those of its parent."""
    _heard.clear()
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    threading.Thread(target=_obey, args=(signals, ), daemon=True).start()
    if then is not None:
        then(worker_id)


def _obey(signals: Sequence[int]) -> None:
    while signal.sigwaitinfo(signals).si_pid != os.getppid():
        pass
    os._exit(0)
