# Copyright (c) mmloc contributors. All rights reserved.
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from mmloc.registry import HOOKS

from ..backward_record import BackwardRecord, copies_of
from ..non_finite_report import describe_step, sentence, write_report


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Take no optimizer step by a NaN or an infinity, and say whence it came.

    Just before each optimizer step the loss and the norm of the gradients are
    looked at. If they are not finite on any rank, no rank takes the step, and
    the iteration is reported with the images of its batch, those whose own
    pixels or boxes are not finite set apart, in the log and in
    ``non_finite.jsonl`` beside it.

    On a GPU the host does not wait for that one number: the device itself
    takes a bad step back, from copies of weights and moments, and the host
    reads the number, reports, and ends training if it must, one step later.

    After a skipped step weights, optimizer and BatchNorm's running statistics
    are what they were before the iteration (with accumulated gradients,
    before the first of the iterations that share the step). What the forward
    pass does to a momentum target and a queue of keys stands: the target has
    moved towards online weights that are finite, and a queue keeps old
    features in place of those that are not finite. A checkpoint with a NaN in
    its weights or buffers is never saved.

    With a loss scaler (``AmpOptimWrapper``) infinite gradients are part of
    the search for a scale and the scaler skips those steps itself. They are
    reported when the loss is not finite either, or when ``max_consecutive``
    of them follow each other.

    It works with :obj:`mmengine.optim.OptimWrapper` and its subclasses;
    others are left unguarded with a warning.

    Args:
        action (str): ``'skip'`` goes on with the next iteration; ``'stop'``
            ends training at the first such step. Defaults to 'skip'.
        max_consecutive (int): After how many steps in a row training ends.
            Defaults to 20.
        late (bool, optional): Whether the host reads one step later. Steps
            that make an optimizer's moments, as the first does, and those
            with a loss scaler, which reads by itself, are looked at at once
            all the same. A count of steps that an optimizer keeps on the host
            counts a step taken back. Defaults to None, for GPUs only.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self,
                 action: str = 'skip',
                 max_consecutive: int = 20,
                 late: bool | None = None) -> None:
        if action not in ('skip', 'stop'):
            raise ValueError(
                f"action is {action!r}, expected 'skip' or 'stop'.")
        if max_consecutive < 1:
            raise ValueError(f'max_consecutive is {max_consecutive}, '
                             'expected 1 or more.')
        self.action = action
        self.max_consecutive = max_consecutive
        self.late = late
        self.num_skipped = 0
        self._consecutive = 0
        self._unread: BackwardRecord | None = None
        self._handles: list = []

    def before_train(self, runner: Runner) -> None:
        """Watch the model's losses and the optimizer's steps.

        Args:
            runner (Runner): The runner, its model and optimizer.
        """
        self.after_train(runner)
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper):
            runner.logger.warning(
                'NonFiniteHook does not guard training with '
                f'{type(wrapper).__name__}, only with OptimWrapper.')
            return
        self._scaled = hasattr(wrapper, 'loss_scaler')
        self._statistics = _running_statistics(runner.model)
        self._saved = [x.clone() for x in self._statistics]
        self._clear()
        self._handles = [
            runner.model.register_forward_hook(self._note_loss),
            wrapper.optimizer.register_step_pre_hook(self._check_step),
            wrapper.optimizer.register_step_post_hook(self._take_back)
        ]

    def after_train(self, runner: Runner) -> None:
        """Watch no more.

        Args:
            runner (Runner): Not used.
        """
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _clear(self) -> None:
        """Begin to watch the iterations of one optimizer step."""
        self._batches: list = []
        self._loss: Tensor | None = None
        self._record: BackwardRecord | None = None
        self._copies: list[tuple[Tensor, Tensor]] = []

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Keep BatchNorm's statistics.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): The batch.
        """
        if not self._handles:
            return
        if not self._batches and self._saved:
            torch._foreach_copy_(self._saved, self._statistics)
        self._batches.append(data_batch)

    @torch.no_grad()
    def _note_loss(self, model: nn.Module, args: tuple, outputs: Any) -> None:
        """Add up the losses of the iterations of a step, on the device."""
        if not isinstance(outputs, dict) or not self._batches:
            return
        losses = [
            x.detach().float().mean() for name, value in outputs.items()
            if 'loss' in name
            for x in (value if isinstance(value, list | tuple) else [value])
            if isinstance(x, Tensor)
        ]
        if losses:
            loss = torch.stack(losses).sum()
            self._loss = loss if self._loss is None else self._loss + loss

    @torch.no_grad()
    def _check_step(self, optimizer: Optimizer, args: tuple,
                    kwargs: dict) -> None:
        """Take the gradients away from a step that must not be taken.

        Optimizers pass over parameters without a gradient; so neither the
        weights nor their moments, decay or counts of steps change.
        """
        self._record = record = BackwardRecord(optimizer, self._loss)
        late = record.finite.is_cuda if self.late is None else self.late
        # A step that makes moments cannot be taken back.
        known = all(optimizer.state.get(p) for p in record.params)
        if late and known and not self._scaled:
            record.begin_to_read()
            self._copies = [
                *copies_of(optimizer, record.params),
                *zip(self._statistics, self._saved)
            ]
        elif not record.is_finite():
            for param in record.params:
                param.grad = None

    @torch.no_grad()
    def _take_back(self, optimizer: Optimizer, args: tuple,
                   kwargs: dict) -> None:
        """Let the device undo a step if it was a bad one."""
        for new, old in self._copies:
            torch.where(self._record.finite, new, old, out=new)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Report a step that was not taken.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
            outputs (dict, optional): The losses by name.

        Raises:
            RuntimeError: Training must end.
        """
        if not self._handles or not runner.optim_wrapper.should_update():
            return
        record = self._record
        # A scaler that finds an infinity does not call the optimizer.
        if record is None and self._scaled:
            record = BackwardRecord(runner.optim_wrapper.optimizer,
                                    self._loss)
            record.mark_bad()
        late = bool(self._copies)
        if record is not None:
            record.describe = partial(
                self._describe, runner, self._batches, outputs or {}, record)
            record.iteration = runner.iter + 1
            record.saved = [] if late else self._saved
        self._clear()
        self._settle(runner)
        self._unread = record
        if not late or self.is_last_train_iter(runner):
            self._settle(runner)

    def after_run(self, runner: Runner) -> None:
        """Report the last step too if a signal has ended the training.

        Args:
            runner (Runner): The runner.

        Raises:
            RuntimeError: Training would have had to end.
        """
        self._settle(runner)

    def _settle(self, runner: Runner) -> None:
        """Look at the last step that has not been looked at.

        All ranks must come here, since they exchange what they know of a bad
        step.
        """
        record, self._unread = self._unread, None
        if record is None:
            return
        if record.is_finite():
            self._consecutive = 0
        else:
            self._after_skip(runner, record)

    def _after_skip(self, runner: Runner, record: BackwardRecord) -> None:
        """Restore, report, and perhaps end training, on all ranks alike."""
        self._consecutive += 1
        ranks = all_gather_object(record.describe())
        persists = self._consecutive >= self.max_consecutive
        expected = self._scaled and all(x['loss_finite'] for x in ranks)
        if expected and not persists:
            return
        if record.saved:
            torch._foreach_copy_(self._statistics, record.saved)
        self.num_skipped += 1
        text = sentence(record.iteration, ranks)
        if is_main_process():
            runner.logger.error(f'{text} The optimizer step is skipped.')
            write_report(
                Path(runner.log_dir) / 'non_finite.jsonl', record.iteration,
                ranks)
        if ranks[0]['bad_weights']:
            raise RuntimeError(
                f'{text} The weights are not finite any more, the first being '
                f'{ranks[0]["bad_weights"][0]}, so that nothing can be '
                'learned: go on from the last checkpoint (--resume) with a '
                'lower learning rate or clipped gradients '
                '(optim_wrapper.clip_grad).')
        if self.action == 'stop' or persists:
            raise RuntimeError(
                f'{text} It is step {self._consecutive} in a row, and '
                f'NonFiniteHook with action={self.action!r} and '
                f'max_consecutive={self.max_consecutive} ends training: look '
                'at the images, lower the learning rate, clip the gradients '
                '(optim_wrapper.clip_grad), or train without --amp.')

    @staticmethod
    def _describe(runner: Runner, batches: list, outputs: dict,
                  record: BackwardRecord) -> dict:
        losses = {k: v.item() for k, v in outputs.items() if 'loss' in k}
        return describe_step(runner.model, batches, losses,
                             record.is_loss_finite(), record.bad_gradients())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save what cannot be trained any more.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): What is about to be saved.

        Raises:
            RuntimeError: A weight or a buffer is NaN.
        """
        # Only the main process is here. A bad step has been taken back, even
        # if it has not been reported yet.
        for name, value in checkpoint['state_dict'].items():
            if isinstance(value, Tensor) and value.isnan().any():
                raise RuntimeError(
                    f'The checkpoint of iteration {runner.iter + 1} is not '
                    f'saved because {name} holds NaN; the checkpoints before '
                    'it are kept: go on from the last one (--resume) with a '
                    'lower learning rate.')


def _running_statistics(model: nn.Module) -> list[Tensor]:
    """Means and variances of every BatchNorm layer."""
    return [
        x for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
        for x in (module.running_mean, module.running_var)
    ]
