# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from mmloc.registry import HOOKS

#: Integers of the size of any element, by bytes.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@HOOKS.register_module()
class RankAgreementHook(Hook):
    """Stop a training whose processes have drifted apart.

    DDP averages the gradients and takes the rest on trust. Each process
    updates the target network and the queue by itself; if they once differ,
    by a defective device or by code that only one process runs, no loss tells
    it. This hook compares all weights, online and target, and all buffers,
    among them queue, pointer and count of updates, but for those of
    BatchNorm, which are statistics of a process's own data.

    The bits of each tensor are summed as integers, which is exact on any
    device, and only the sums are exchanged: 8 bytes a tensor. It also
    compares at the start how many iterations the processes will make, since
    one that ends before the others would leave them waiting.

    One process, and wrappers that keep different parts of the weights in
    different processes (FSDP, DeepSpeed), are left alone.

    Args:
        interval (int): Iterations between two checks. Defaults to 500.
        ignore (Sequence[str]): Parts of the names of tensors that are meant
            to differ. Defaults to ().

    Raises:
        ValueError: If ``interval`` is not positive.
    """

    def __init__(self, interval: int = 500,
                 ignore: Sequence[str] = ()) -> None:
        if interval < 1:
            raise ValueError(
                f'interval of RankAgreementHook is {interval}, but it must be '
                '1 or more; to check nothing, take the hook out.')
        self.interval = interval
        self.ignore = tuple(ignore)

    def before_train(self, runner: Runner) -> None:
        """Compare the lengths of the training, then the tensors.

        Args:
            runner (Runner): The runner.

        Raises:
            RuntimeError: If the processes differ.
        """
        if not self._applies(runner):
            return
        lengths = all_gather(torch.tensor([runner.max_iters]))
        lengths = [int(length) for length in lengths]
        if len(set(lengths)) > 1:
            raise RuntimeError(
                f'The processes would make {lengths} iterations, and those '
                'with more would wait for the others forever; let the '
                'sampler of train_dataloader give each as many images, as '
                'DefaultSampler does with round_up=True.')
        self.check(runner)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Compare the tensors every ``interval`` iterations."""
        if (self.every_n_train_iters(runner, self.interval)
                and self._applies(runner)):
            self.check(runner)

    def check(self, runner: Runner) -> None:
        """Compare the tensors of all processes.

        Args:
            runner (Runner): The runner.

        Raises:
            RuntimeError: In all processes, if the tensors of one differ.
        """
        tensors = self.tensors(runner.model.module)
        sums = torch.stack(all_gather(bit_sums(list(tensors.values()))))
        differs = sums != sums[0]
        if not differs.any():
            return
        ranks = differs.any(dim=1).nonzero().flatten().tolist()
        names = [
            name for name, one in zip(tensors,
                                      differs.any(dim=0).tolist()) if one
        ]
        more = f' and {len(names) - 3} more' if len(names) > 3 else ''
        raise RuntimeError(
            f'After iteration {runner.iter + 1} the processes have drifted '
            f'apart: {", ".join(names[:3])}{more} of rank '
            f'{", ".join(map(str, ranks))} differ from those of rank 0; go '
            'on from the last checkpoint (--resume), and if it happens again '
            'look for code that changes them in some processes only, or for '
            'a defective device.')

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """Tensors that must be equal in all processes, by name."""
        tensors = dict(model.named_parameters())
        for prefix, module in model.named_modules():
            if not isinstance(module, _BatchNorm):
                tensors.update(
                    (f'{prefix}.{name}'.lstrip('.'), buffer) for name, buffer
                    in module.named_buffers(recurse=False))
        return {
            name: tensor
            for name, tensor in tensors.items()
            if not any(part in name for part in self.ignore)
        }

    def _applies(self, runner: Runner) -> bool:
        return get_world_size() > 1 and isinstance(runner.model,
                                                   DistributedDataParallel)


@torch.no_grad()
def bit_sums(tensors: Sequence[Tensor]) -> Tensor:
    """Sum the bits of each tensor, read as integers.

    Args:
        tensors (Sequence[Tensor]): T tensors of any shape, on one device,
            with elements of up to 8 bytes.

    Returns:
        Tensor: int64, shape (T, ). Equal bits give equal sums in any order
        of summation; a change of one element changes the sum.
    """
    return torch.stack([
        tensor.flatten().view(_INTEGERS[tensor.element_size()]).sum(
            dtype=torch.int64) for tensor in tensors
    ])
