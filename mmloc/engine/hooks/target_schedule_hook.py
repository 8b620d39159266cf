# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmloc.registry import HOOKS


@HOOKS.register_module()
class TargetScheduleHook(Hook):
    """Update a momentum target once per optimizer step, on its schedule.

    The target network of a momentum algorithm is updated in the forward
    pass. With gradient accumulation over n iterations the online network
    changes every n forward passes only, and an update at each of them would
    make the target follow n times too fast. The hook sets
    ``model.target.interval`` (of mmengine's ``BaseAveragedModel``) to
    ``optim_wrapper.accumulative_counts``, and ``model.target.total_steps``,
    where the config leaves it out, to the number of optimizer steps of the
    whole training, the length of the target's momentum schedule. It does
    nothing to models without a ``target``.

    A new training begins the schedule anew. A finished checkpoint brings its
    count of updates along with ``load_from``, which would hold the target
    still. Its weights are kept: the count is set to one update, which neither
    copies the online network nor skips a visible part of the schedule.
    """

    def before_train(self, runner: Runner) -> None:
        """Set interval and length.

        Args:
            runner (Runner): The runner, its model and optimizer.

        Raises:
            ValueError: If the model's config has another interval, or each
                process holds a part of the weights only.
        """
        wrapper = model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if not hasattr(model, 'target'):
            return
        if _is_sharded(wrapper):
            raise ValueError(
                f'{type(wrapper).__name__} splits the weights over the '
                'processes, and the momentum target cannot follow weights '
                'that are not there; use DDP, or stage 1 or 2 of ZeRO, which '
                'split gradients and optimizer only')
        # Only the simple wrappers accumulate, and have no public name for it.
        steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if model.target.interval not in (1, steps):
            raise ValueError(
                f'model.target.interval is {model.target.interval}, but '
                f'optim_wrapper.accumulative_counts is {steps}; leave the '
                'interval out, it then follows the optimizer')
        model.target.interval = steps
        if runner.iter == 0:
            # 0 stays 0, the mark of a target that is yet to be copied.
            model.target.steps.copy_((model.target.steps > 0) * steps)
        if getattr(model.target, 'total_steps', 0) is None:
            model.target.total_steps = runner.max_iters // steps
        if steps > 1:
            runner.logger.info(
                f'Gradients accumulate over {steps} iterations: the target '
                f'network is updated every {steps} iterations too.')


def _is_sharded(model: nn.Module) -> bool:
    """Tell wrappers under which updates of the target fail or get lost.

    Stage 3 of ZeRO leaves empty tensors in place of the weights outside of
    the layers' own passes; averaging these would change nothing, unnoticed.
    """
    return isinstance(model, FullyShardedDataParallel) or any(
        param.numel() == 0 for param in model.parameters())
