# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmloc.registry import HOOKS


@HOOKS.register_module()
class TargetIntervalHook(Hook):
    """Update a momentum target once per optimizer step.

    The target network of a momentum algorithm is updated in the forward
    pass. With gradient accumulation over n iterations the online network
    changes every n forward passes only, and an update at each of them would
    make the target follow n times too fast. The hook sets
    ``model.target.interval`` (of mmengine's ``BaseAveragedModel``) to
    ``optim_wrapper.accumulative_counts``. It does nothing to models without
    a ``target``.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the interval.

        Args:
            runner (Runner): The runner, its model and config.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if not hasattr(model, 'target'):
            return
        steps = runner.cfg.optim_wrapper.get('accumulative_counts', 1)
        model.target.interval = steps
        if steps > 1:
            runner.logger.info(
                f'Gradients accumulate over {steps} iterations: the target '
                f'network is updated every {steps} iterations too.')
