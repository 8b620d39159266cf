# Copyright (c) mmloc contributors. All rights reserved.
from functools import partial

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmloc.registry import HOOKS


@HOOKS.register_module()
class WorkerSeedHook(Hook):
    """Seed the workers of the data loader by the epoch they start in.

    mmengine seeds a worker by the seed of the run, the rank and the number of
    the worker. A run resumed at epoch k would repeat the random numbers of
    its first epochs, and workers that start anew in each epoch
    (``persistent_workers=False``) would draw the same ones every time. Epoch
    0 keeps mmengine's seeds. The hook serves loops by epoch; it has no effect
    without workers and on loaders with a ``worker_init_fn`` of their own.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the seed before the loader starts its workers.

        Args:
            runner (Runner): The runner, its seed, epoch and data loader.
        """
        loader = runner.train_loop.dataloader
        if 'seed' in getattr(loader.worker_init_fn, 'keywords', {}):
            # Seeds of an epoch differ by less than the number of all workers.
            step = max(loader.num_workers, 1) * get_world_size()
            loader.worker_init_fn = partial(
                loader.worker_init_fn, seed=runner.seed + runner.epoch * step)
