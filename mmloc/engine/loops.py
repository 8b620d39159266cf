# Copyright (c) mmloc contributors. All rights reserved.
"""mmengine's training loops, with data and draws set by the iteration."""
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, repeat
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterLoop
from torch.utils.data import DataLoader

from mmloc.datasets.samplers import ReproducibleBatchSampler, sow
from mmloc.registry import LOOPS

_EPOCHS_LEFT = 2**31  # keeps the seeds of iterations apart from samples'


class ResumableLoop:
    """What both loops share.

    Attributes:
        batches (int): Batches taken so far: of the epoch, or of the whole
            training if it counts in iterations.
    """

    def __init__(self, runner, dataloader: DataLoader | dict, *args,
                 **kwargs) -> None:
        if isinstance(dataloader, dict):
            dataloader = dict(batch_size=1) | dict(dataloader)
            dataloader['batch_sampler'] = dict(
                type='mmloc.ReproducibleBatchSampler',
                batch_sampler=dataloader.get('batch_sampler'),
                drop_last=dataloader.pop('drop_last', False),
                seed=runner.seed)
            dataloader = runner.build_dataloader(
                dataloader,
                seed=runner.seed,
                diff_rank_seed=runner._randomness_cfg.get(
                    'diff_rank_seed', False))
        self.batches = 0
        # mmengine's loop by iterations starts the workers in its constructor,
        # before it is known where in the data they have to begin.
        settings = dataloader.num_workers, dataloader.timeout
        dataloader.num_workers = dataloader.timeout = 0
        super().__init__(runner, dataloader, *args, **kwargs)
        dataloader.num_workers, dataloader.timeout = settings

    @property
    def resumable(self) -> bool:
        """bool: Whether the data can begin anywhere; not with a data loader
        that the user has built."""
        return isinstance(self.dataloader.batch_sampler,
                          ReproducibleBatchSampler)

    def position(self, epoch: int) -> dict:
        """Describe for a checkpoint where in the data the training is.

        Args:
            epoch (int): The epoch with which the checkpoint will go on.

        Returns:
            dict: ``seed``, ``batches`` and their number in an ``epoch``.
        """
        if not self.resumable:
            return {}
        return dict(
            seed=self.dataloader.batch_sampler.seed,
            batches=self.batches if epoch == self._epoch else 0,
            epoch=len(self.dataloader))

    def run_iter(self, *args: Any) -> None:
        """Train on a batch, with generators seeded by the iteration.

        Args:
            *args: Of mmengine's method.
        """
        if self.resumable:
            self._sow()
        super().run_iter(*args)

    def _sow(self) -> None:
        place = _EPOCHS_LEFT + get_rank(), self._iter
        sow(self.runner.seed, *place)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(torch.initial_seed())


@LOOPS.register_module()
class EpochBasedTrainLoop(ResumableLoop, MMEngineEpochLoop):
    """mmengine's loop by epochs, which can go on in the middle of one.

    Args:
        runner (Runner): mmloc's.
        dataloader (DataLoader or dict): Of the training.
        *args, **kwargs: Of mmengine's loop.
    """

    def restore(self, position: dict) -> None:
        """Go on where a checkpoint was saved.

        Args:
            position (dict): Of :meth:`position`; empty in a checkpoint of
                mmengine, which goes on at the begin of an epoch.

        Raises:
            ValueError: It is in the middle of an epoch that had another
                number of batches.
        """
        batches = position.get('batches', 0)
        if batches and (not self.resumable
                        or position['epoch'] != len(self.dataloader)):
            raise ValueError(
                f'the checkpoint was saved after {batches} of '
                f'{position["epoch"]} iterations of an epoch, which now has '
                f'{len(self.dataloader)}; go on with the same data, batch '
                'size, data loader and number of processes, or from the '
                'checkpoint of an epoch')
        self.batches = batches
        if self.resumable and 'seed' in position:
            self.dataloader.batch_sampler.seed = position['seed']

    def run_epoch(self) -> None:
        """Train for an epoch, or for the rest of it."""
        if not self.resumable:
            super().run_epoch()
            return
        self._sow()
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataloader.batch_sampler.seek(self._epoch, self.batches)
        for number, batch in enumerate(self.dataloader, self.batches):
            self.batches = number + 1
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self.batches = 0
        self._epoch += 1


@LOOPS.register_module()
class IterBasedTrainLoop(ResumableLoop, MMEngineIterLoop):
    """mmengine's loop by iterations, which goes on without loading what it
    has already trained on.

    Args:
        runner (Runner): mmloc's.
        dataloader (DataLoader or dict): Of the training.
        *args, **kwargs: Of mmengine's loop.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.resumable:
            self.dataloader_iterator = self._stream()

    def position(self, epoch: int) -> dict:
        """Describe for a checkpoint where in the data the training is.

        Args:
            epoch (int): Of no account: the whole training is one.

        Returns:
            dict: As for the loop by epochs.
        """
        return super().position(self._epoch)

    def restore(self, position: dict) -> None:
        """Go on where a checkpoint was saved.

        Args:
            position (dict): Of :meth:`position`; empty in a checkpoint of
                mmengine. If a pass over the data had another number of
                batches, the log says that others follow.
        """
        self.batches = position.get('batches', self._iter)
        former, now = position.get('epoch'), len(self.dataloader)
        if self.resumable and former not in (None, now):
            self.runner.logger.warning(
                f'The checkpoint comes from passes of {former} iterations '
                f'over the data, which now take {now}: data, batch size or '
                'number of processes have changed, so some images come again '
                'and others later than they would have.')
        if self.resumable and 'seed' in position:
            self.dataloader.batch_sampler.seed = position['seed']

    def run(self) -> torch.nn.Module:
        """Train.

        Returns:
            nn.Module: The model.
        """
        if not self.resumable:
            return super().run()
        # mmengine takes the batches of the past and drops them; the stream
        # begins behind them. Closed, it lets go of its workers.
        with closing(self.dataloader_iterator) as stream:
            self.dataloader_iterator = chain(repeat(None, self._iter), stream)
            return super().run()

    def _stream(self) -> Iterator[Any]:
        """Batches without end."""
        loader, sampler = self.dataloader, self.dataloader.batch_sampler
        epoch, first = 0, self.batches
        if hasattr(sampler.sampler, 'epoch'):  # those without have no end
            epoch, first = divmod(first, max(len(loader), 1))
        begin = -1
        while self.batches > begin:  # nothing ever comes from an empty set
            begin = self.batches
            sampler.seek(epoch, first)
            for batch in loader:
                self.batches += 1
                yield batch
            epoch, first = epoch + 1, 0
