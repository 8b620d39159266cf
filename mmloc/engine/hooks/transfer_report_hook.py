# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from mmloc.registry import HOOKS

from ..transfer import TransferReport, compare_state_dicts


@HOOKS.register_module()
class TransferReportHook(Hook):
    """Log what of a pretraining checkpoint reaches the model.

    Reports on ``load_from`` at the moment of loading, and on every
    ``init_cfg=dict(type='Pretrained', ...)`` of the model before training.
    Nothing is reported on resuming, where all is loaded.
    """

    priority = 'LOW'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Report on ``load_from``, and take the pretext-only tensors out of
        the checkpoint so that they are not warned about one by one.

        Args:
            runner (Runner): The runner, its model built.
            checkpoint (dict): The checkpoint about to be loaded.

        Raises:
            RuntimeError: If the checkpoint has nothing for the model.
        """
        if runner.cfg.get('resume'):
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        state = checkpoint.get('state_dict', checkpoint)
        report = compare_state_dicts(model.state_dict(), _plain_names(state))
        _log(runner, report, f'{runner.cfg.get("load_from")}')
        for name in list(state):
            if _plain_name(name).split('.')[0] in report.pretext:
                del state[name]

    def before_train(self, runner: Runner) -> None:
        """Report on ``init_cfg`` of type 'Pretrained'.

        Args:
            runner (Runner): The runner, its model initialized.

        Raises:
            RuntimeError: If a checkpoint has nothing for its module.
        """
        if runner.cfg.get('resume'):
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        for name, module, init_cfg in _pretrained_modules(model):
            checkpoint = CheckpointLoader.load_checkpoint(
                init_cfg['checkpoint'], map_location='cpu')
            state = _plain_names(checkpoint.get('state_dict', checkpoint))
            prefix = (init_cfg.get('prefix') or '').rstrip('.')
            if prefix:
                state = {
                    key[len(prefix) + 1:]: value
                    for key, value in state.items()
                    if key.startswith(prefix + '.')
                }
            report = compare_state_dicts(module.state_dict(), state)
            _log(runner, report,
                 f'{init_cfg["checkpoint"]}, to {name or "the model"}')


def _pretrained_modules(
        model: nn.Module) -> Iterator[tuple[str, nn.Module, dict]]:
    """Modules that were initialized from a checkpoint, with their paths."""
    for name, module in model.named_modules():
        if name.startswith('target.'):  # a copy of the online modules
            continue
        init_cfgs = getattr(module, 'init_cfg', None) or []
        for init_cfg in [init_cfgs] if isinstance(init_cfgs,
                                                  dict) else init_cfgs:
            if init_cfg.get('type') == 'Pretrained':
                yield name, module, init_cfg


def _plain_name(name: str) -> str:
    return name[len('module.'):] if name.startswith('module.') else name


def _plain_names(state: dict) -> dict:
    """Names as mmengine reads them: without the wrapper's ``module.``."""
    return {_plain_name(name): value for name, value in state.items()}


def _log(runner: Runner, report: TransferReport, source: str) -> None:
    if report.complete:
        runner.logger.info(
            f'Transfer from {source}: all {report.loaded} tensors loaded.')
        return
    runner.logger.info(f'Transfer from {source}:\n{report.table()}')
    report.check()
    if report.partial:
        runner.logger.warning(
            'Only a part of the tensors is loaded in '
            f'{", ".join(report.partial)}: the others start anew.')
