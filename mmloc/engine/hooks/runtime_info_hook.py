# Copyright (c) mmloc contributors. All rights reserved.
import time
from typing import Any

import torch
from mmengine.hooks import LoggerHook
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from mmloc.registry import HOOKS


@HOOKS.register_module()
class RuntimeInfoHook(MMEngineRuntimeInfoHook):
    """mmengine's hook, which reads losses from the device when they are due.

    mmengine's reads each loss and accuracy of every iteration, and the host
    waits for the device as often. Here they are kept there, and read at once
    with those of the iterations before when the logger is about to write,
    when an epoch or the training ends, before a checkpoint is saved, and once
    a second. Their values, and what they are averaged to, are the same.
    """

    def __init__(self) -> None:
        self._unread: list[dict[str, Any]] = []
        self._last_read = 0.

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Note the losses of an iteration.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Index of the batch.
            data_batch (Any): Not used.
            outputs (dict, optional): The losses by name.
        """
        self._unread.append({
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in (outputs or {}).items()
        })
        if (time.monotonic() - self._last_read > 1
                or self.is_last_train_iter(runner)
                or self.end_of_epoch(runner.train_dataloader, batch_idx)
                or any(
                    self.every_n_inner_iters(batch_idx, hook.interval)
                    for hook in runner.hooks if isinstance(hook, LoggerHook))):
            self.read(runner)

    def read(self, runner: Runner) -> None:
        """Hand over what has been noted.

        Args:
            runner (Runner): The runner and its message hub.
        """
        noted, self._unread = self._unread, []
        self._last_read = time.monotonic()
        tensors = [
            x for outputs in noted for x in outputs.values()
            if isinstance(x, Tensor)
        ]
        values = {}
        for device in {x.device for x in tensors}:
            here = [x for x in tensors if x.device == device]
            there = torch.stack([x.double().reshape(()) for x in here])
            values.update(zip(map(id, here), there.tolist()))
        for outputs in noted:
            for name, value in outputs.items():
                runner.message_hub.update_scalar(
                    f'train/{name}', values.get(id(value), value))
