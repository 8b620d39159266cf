# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmloc.registry import HOOKS


@HOOKS.register_module()
class InitWeightsHook(Hook):
    """Initialize the model of a config that is only ever tested.

    mmengine initializes models before training alone: without this hook a
    probe of a start that is an ``init_cfg`` would see weights that PyTorch
    drew. A checkpoint is loaded over them afterwards.
    """

    def before_run(self, runner: Runner) -> None:
        """Initialize the weights.

        Args:
            runner (Runner): The runner, its model built.
        """
        if runner.cfg.get('train_cfg') is None:
            runner._init_model_weights()
