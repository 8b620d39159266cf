# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

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
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Let the schedule of a new training begin at its beginning.

        A finished checkpoint would otherwise bring its count of updates along
        with ``load_from`` and hold the target still. The target's weights
        are kept: a count of 1 neither copies the online network nor skips a
        visible part of the schedule.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint about to be loaded.
        """
        if runner.cfg.get('resume'):
            return
        for name, value in checkpoint.get('state_dict', {}).items():
            if name in ('target.steps', 'module.target.steps'):
                value.clamp_(max=1)

    def before_train(self, runner: Runner) -> None:
        """Set interval and length.

        Args:
            runner (Runner): The runner, its model and optimizer.

        Raises:
            ValueError: If the model's config has another interval.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if not hasattr(model, 'target'):
            return
        # Only the simple wrappers accumulate, and have no public name for it.
        steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if model.target.interval not in (1, steps):
            raise ValueError(
                f'model.target.interval is {model.target.interval}, but '
                f'optim_wrapper.accumulative_counts is {steps}; leave the '
                'interval out, it then follows the optimizer')
        model.target.interval = steps
        if getattr(model.target, 'total_steps', 0) is None:
            model.target.total_steps = runner.max_iters // steps
        if steps > 1:
            runner.logger.info(
                f'Gradients accumulate over {steps} iterations: the target '
                f'network is updated every {steps} iterations too.')
