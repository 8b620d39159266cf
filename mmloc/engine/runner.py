# Copyright (c) mmloc contributors. All rights reserved.
import gc
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.runner import BaseLoop
from mmengine.runner import Runner as MMEngineRunner
from torch import distributed as torch_dist
from torch import nn

from .checkpoint_files import check_resumable, find_checkpoint, replacing
from .hooks.runtime_info_hook import RuntimeInfoHook
from .loops import ResumableLoop
from .slurm import set_env_from_slurm

#: The parts of mmengine that have a form in mmloc which loses nothing when a
#: training is stopped.
_LOOPS = ('EpochBasedTrainLoop', 'IterBasedTrainLoop')
_HOOKS = ('CheckpointHook', 'RuntimeInfoHook')


class Runner(MMEngineRunner):
    """mmengine's runner, for trainings that can be stopped at any moment, and
    with several processes on CPUs too.

    Where a config names mmengine's loops, its ``CheckpointHook`` or its
    ``RuntimeInfoHook``, mmloc's of the same names are taken: data and random
    numbers are then functions of the seed and the iteration, a checkpoint
    says where in the data the training is, it appears under its name only
    when it is complete, and losses are read from the device when they are
    due.

    mmengine 0.10 selects a CUDA device in every launched process and wraps
    the model for that device; both fail on a machine without a GPU. There
    this runner forms the process group with gloo, whatever
    ``env_cfg.dist_cfg.backend`` names, turns SyncBN, which torch has for GPUs
    only, into BN, and says both in the log. With a GPU it changes nothing.
    """

    @property
    def on_cpus(self) -> bool:
        """bool: Whether several processes train without a GPU."""
        return self.distributed and not torch.cuda.is_available()

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and environment.

        Args:
            env_cfg (dict): As in mmengine.

        Raises:
            ValueError: If there is no GPU and the launcher is neither
                'pytorch' nor 'slurm'.
        """
        if self.on_cpus and not torch_dist.is_initialized():
            if self.launcher == 'slurm':
                set_env_from_slurm()
            elif self.launcher != 'pytorch':
                raise ValueError(
                    f'launcher {self.launcher!r} needs a GPU and none is '
                    "visible; on CPUs use launcher 'pytorch' "
                    "(tools/dist_train.sh) or 'slurm' (tools/slurm_train.sh)")
            torch_dist.init_process_group('gloo')
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None,
                   model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training.

        Args:
            model_wrapper_cfg (dict, optional): As in mmengine.
            model (nn.Module): The model.

        Returns:
            nn.Module: The wrapped model, or the model itself if there is one
            process.
        """
        if self.on_cpus:
            self.logger.info('No GPU is visible: the processes talk by gloo '
                             'and SyncBN layers become BN layers.')
            model = revert_sync_batchnorm(model)
            unused = self.cfg.get('find_unused_parameters', False)
            model_wrapper_cfg = dict(
                type='MMDistributedDataParallel',
                broadcast_buffers=False,
                find_unused_parameters=unused) | (model_wrapper_cfg or {})
            model_wrapper_cfg['device_ids'] = None
        return super().wrap_model(model_wrapper_cfg, model)

    def train(self) -> nn.Module:
        """Train.

        What the process holds by now, 400,000 objects of imported
        packages, will not become garbage: Python's collector passes it over
        until the end, and does not touch it in forked workers either, whose
        memory stays shared.

        Returns:
            nn.Module: The trained model.
        """
        gc.collect()
        gc.freeze()
        try:
            return super().train()
        finally:
            gc.unfreeze()

    def _maybe_compile(self, target: str) -> None:
        """Let a model that says what of it to compile do so.

        mmengine compiles the whole step, which torch cannot: it prepares
        images by functions that are compiled already.

        Args:
            target (str): As in mmengine.

        Raises:
            TypeError: ``compile`` in the config is neither a bool nor a dict.
        """
        options = self.cfg.get('compile')
        model = self.model
        model = model.module if is_model_wrapper(model) else model
        if not options or type(model).compile is nn.Module.compile:
            super()._maybe_compile(target)
            return
        if options is not True and not isinstance(options, dict):
            raise TypeError(
                f'compile is {options!r} in the config, expected True, False '
                'or a dict of arguments of torch.compile.')
        model.compile(**({} if options is True else options))
        self.logger.info('torch.compile compiles parts of '
                         f'{type(model).__name__} in the first iterations.')

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop.

        Args:
            loop (BaseLoop or dict): As in mmengine.

        Returns:
            BaseLoop: mmloc's, if mmengine's was asked for.
        """
        if isinstance(loop, dict):
            loop = dict(loop)
            if 'type' not in loop and 'by_epoch' in loop:
                loop['type'] = _LOOPS[0 if loop.pop('by_epoch') else 1]
            _take_ours(loop, _LOOPS)
        return super().build_train_loop(loop)

    def register_hook(self, hook: Hook | dict, *args, **kwargs) -> None:
        """Register a hook.

        Args:
            hook (Hook or dict): The hook or its config.
            *args: As in mmengine.
            **kwargs: As in mmengine.
        """
        if isinstance(hook, dict):
            hook = dict(hook)
            _take_ours(hook, _HOOKS)
        super().register_hook(hook, *args, **kwargs)

    def load_or_resume(self) -> None:
        """Load the weights, or resume, as the config says."""
        if self._resume and self._load_from is None and not self._has_loaded:
            tmpl = next((hook.filename_tmpl for hook in self.hooks
                         if isinstance(hook, CheckpointHook)), None)
            self._load_from, notes = find_checkpoint(self.work_dir, tmpl)
            for note in notes:
                self.logger.warning(f'Passed over: {note}.')
            self._resume = self._load_from is not None
        super().load_or_resume()

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Go on with a training.

        Args:
            filename (str): The checkpoint, a path or an address.
            *args: As in mmengine.
            **kwargs: As in mmengine.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It does not hold the state of a training, or of one
                whose place in the data is none in these data.
        """
        if '://' not in filename:
            check_resumable(filename, thorough=False)
        super().resume(filename, *args, **kwargs)
        if isinstance(self.train_loop, ResumableLoop):
            self.train_loop.restore(self._loaded_meta.get('position', {}))

    def load_checkpoint(self, *args, **kwargs) -> dict:
        """Load the weights of a checkpoint.

        Args:
            *args: As in mmengine.
            **kwargs: As in mmengine.

        Returns:
            dict: The checkpoint.
        """
        checkpoint = super().load_checkpoint(*args, **kwargs)
        self._loaded_meta = checkpoint.get('meta') or {}
        return checkpoint

    @master_only
    def save_checkpoint(self,
                        out_dir: str,
                        filename: str,
                        *args,
                        meta: dict | None = None,
                        **kwargs) -> None:
        """Save a checkpoint that is either whole or not there.

        In a local folder it is written under a temporary name, flushed to
        the disk and renamed. Other storage takes whole files by itself.

        Args:
            out_dir (str): The folder.
            filename (str): Name of the file.
            *args: As in mmengine.
            meta (dict, optional): As in mmengine. Defaults to None.
            **kwargs: As in mmengine.

        Raises:
            CheckpointWriteError: It could not be written; a file of this
                name is left as it was.
        """
        meta = dict(meta or {})
        for hook in self.hooks:
            if isinstance(hook, RuntimeInfoHook):
                hook.read(self)
        if isinstance(self.train_loop, ResumableLoop):
            by_epoch = kwargs.get('by_epoch', True)
            meta['position'] = self.train_loop.position(
                meta.get('epoch', self.epoch + by_epoch))
        if '://' in str(out_dir):
            super().save_checkpoint(
                out_dir, filename, *args, meta=meta, **kwargs)
            return
        with replacing(Path(out_dir, filename)) as path:
            super().save_checkpoint(
                str(path.parent), path.name, *args, meta=meta, **kwargs)


def _take_ours(cfg: dict, names: tuple[str, ...]) -> None:
    """Replace mmengine's form of a part by that of mmloc.

    It may be named by its class and by the path of its module too.
    """
    kind = cfg.get('type', '')
    if isinstance(kind, type):
        kind = f'{kind.__module__}.{kind.__name__}'
    if kind.startswith('mmengine.'):
        kind = kind.rpartition('.')[2]
    if kind in names:
        cfg['type'] = f'mmloc.{kind}'
