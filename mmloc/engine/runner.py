# Copyright (c) mmloc contributors. All rights reserved.

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import Runner as MMEngineRunner
from torch import distributed as torch_dist
from torch import nn


class Runner(MMEngineRunner):
    """mmengine's runner, which also trains with several processes on CPUs.

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
            ValueError: If there is no GPU and the launcher is not 'pytorch'.
        """
        if self.on_cpus and not torch_dist.is_initialized():
            if self.launcher != 'pytorch':
                raise ValueError(
                    f'launcher {self.launcher!r} needs a GPU and none is '
                    "visible; on CPUs use launcher 'pytorch' "
                    '(tools/dist_train.sh)')
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
