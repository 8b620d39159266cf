# Copyright (c) mmloc contributors. All rights reserved.
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmloc.datasets.unreadable import UnreadableImages, walk_datasets
from mmloc.registry import HOOKS

from ..batches import data_samples_of

#: How many files one warning names.
_NUM_SHOWN = 5


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """List the images that could not be read, and stop if they are too many.

    A dataset with ``on_corrupt='skip'`` notes what it could not read in the
    next sample that it packs, so the news come with the batches, from any
    worker. The hook joins them over all ranks, warns about new ones, writes
    path and reason into ``unreadable_images.txt`` beside the log, and says at
    the end of each epoch how many there are so far. When there are more than
    the dataset's ``max_corrupt`` allows, training ends with a RuntimeError.

    Args:
        interval (int): Number of iterations after which several processes
            exchange what is new; they also do at the end of an epoch. One
            process does it at each. Defaults to 50.

    Raises:
        ValueError: ``interval`` is below 1.
    """

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'interval is {interval}, expected 1 or more.')
        self.interval = interval
        self.images: UnreadableImages | None = None
        self._news: dict[str, str] = {}

    def before_train(self, runner: Runner) -> None:
        """Find out how many there may be.

        Args:
            runner (Runner): The runner and its data.
        """
        sources = [
            dataset
            for dataset in walk_datasets(runner.train_loop.dataloader.dataset)
            if hasattr(dataset, 'unreadable')
        ]
        if not sources:
            self.images = None
            return
        for dataset in sources:
            dataset.unreadable.total = len(dataset)
        self.images = UnreadableImages(
            sum(dataset.unreadable.limit for dataset in sources),
            sum(dataset.unreadable.total for dataset in sources))

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Take the news that came with a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): The batch.
            outputs (dict, optional): Not used.
        """
        if self.images is None:
            return
        for sample in data_samples_of(data_batch, 'unreadable'):
            self._news.update(sample.get('unreadable', ()))
        if get_world_size() == 1 or self.every_n_train_iters(
                runner, self.interval):
            self._share(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Say how many there are.

        Args:
            runner (Runner): The runner.
        """
        if self.images is None:
            return
        self._share(runner)
        if self.images.reasons:
            runner.logger.warning(
                f'By the end of epoch {runner.epoch + 1}, '
                f'{len(self.images)} of {self.images.total} images could not '
                f'be read ({self.images.limit} are allowed); see '
                f'{self._list_file(runner)}.')

    def _share(self, runner: Runner) -> None:
        """Join the news of all ranks, and report them."""
        for news in all_gather_object(self._news):
            for path, reason in news.items():
                self.images.add(path, reason)
        self._news = {}
        news = self.images.take_news()
        if news and is_main_process():
            self._report(runner, news)
        if news:
            self.images.check()

    def _report(self, runner: Runner, news: list[tuple[str, str]]) -> None:
        shown = ''.join(
            f'\n  {path!r} {reason}' for path, reason in news[:_NUM_SHOWN])
        if len(news) > _NUM_SHOWN:
            shown += f'\n  and {len(news) - _NUM_SHOWN} more'
        runner.logger.warning(
            f'Skipped images that cannot be read, {len(self.images)} so far, '
            f'the new ones being:{shown}')
        try:
            with open(self._list_file(runner), 'a', encoding='utf-8',
                      errors='surrogateescape') as file:
                file.writelines(f'{path}\t{why}\n' for path, why in news)
        except OSError as error:
            runner.logger.warning(
                f'The list of them cannot be written ({error}).')

    @staticmethod
    def _list_file(runner: Runner) -> Path:
        return Path(runner.log_dir) / 'unreadable_images.txt'
