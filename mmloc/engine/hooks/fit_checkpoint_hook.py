# Copyright (c) mmloc contributors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmloc.registry import HOOKS

from ..fit import fit_checkpoint
from ..seen_images import compare_images


@HOOKS.register_module()
class FitCheckpointHook(Hook):
    """Fit the names in a pretraining checkpoint to the model's architecture.

    See :func:`mmloc.engine.fit.fit_checkpoint`. With this hook every start
    fits every protocol: a backbone alone as torchvision's, pretraining with
    FPN for a C4 detector and the reverse, the same for a detector whose FPN
    begins at C3. A training that is resumed is left alone.

    It also warns of weights that were trained on images of other colours,
    or with the stride elsewhere, which no shape tells: a detector is tested
    with the start that it was trained with.
    """

    priority = 'NORMAL'  # before TransferReportHook

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rename the tensors, in place, and log it.

        Args:
            runner (Runner): The runner, its model built.
            checkpoint (dict): The checkpoint about to be loaded.
        """
        if runner.cfg.get('resume'):
            return
        difference = compare_images(checkpoint, runner.cfg)
        if difference:
            runner.logger.warning(
                f'{runner.cfg.get("load_from")} was trained on other images '
                f'than it will get: {difference}. Take the config, or the '
                '--start, that it was trained with.')
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        state = checkpoint.get('state_dict', checkpoint)
        fitted, notes = fit_checkpoint(
            {name.removeprefix('module.'): value
             for name, value in state.items()},
            model.state_dict())
        if notes:
            state.clear()
            state.update(fitted)
            runner.logger.info(
                f'Fitted {runner.cfg.get("load_from")} to the model: '
                f'{"; ".join(notes)}.')
