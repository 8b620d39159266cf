# Copyright (c) mmloc contributors. All rights reserved.
import math
from collections.abc import Iterator

from torch.utils.data import Dataset


class UnreadableImages:
    """The image files that could not be read, and how many there may be.

    A loader's worker keeps one for what it meets; the main process keeps one
    for what all workers of all ranks have met.

    Args:
        max_corrupt (int or float): How many different files may be
            unreadable: a number (int), or a share of the images (float in
            [0, 1]), rounded up.
        total (int): Number of images in the set.

    Raises:
        ValueError: ``max_corrupt`` is neither.
    """

    def __init__(self, max_corrupt: int | float, total: int = 0) -> None:
        if isinstance(max_corrupt, bool) or max_corrupt < 0 or (
                isinstance(max_corrupt, float) and max_corrupt > 1):
            raise ValueError(
                f'max_corrupt is {max_corrupt!r}, expected a number of images '
                '(int, 0 or more) or a share of them (float in [0, 1]).')
        self.max_corrupt = max_corrupt
        self.total = total
        self.reasons: dict[str, str] = {}
        self._news: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def limit(self) -> int:
        """int: How many files may be unreadable."""
        if isinstance(self.max_corrupt, float):
            return math.ceil(self.max_corrupt * self.total)
        return self.max_corrupt

    def add(self, path: str, reason: str) -> bool:
        """Note a file.

        Args:
            path (str): The file.
            reason (str): What is wrong with it, a predicate such as 'is
                empty'.

        Returns:
            bool: Whether it had not been noted before.
        """
        if path in self.reasons:
            return False
        self.reasons[path] = self._news[path] = reason
        return True

    def take_news(self) -> list[tuple[str, str]]:
        """Get the path and reason of each file added since the last call."""
        news, self._news = self._news, {}
        return list(news.items())

    def check(self) -> None:
        """Stop if there are too many.

        Raises:
            RuntimeError: There are more than :attr:`limit`, or no image of
                the set can be read.
        """
        if len(self) <= self.limit and len(self) < self.total:
            return
        path, reason = list(self.reasons.items())[-1]
        found = (f'None of the {self.total} images could be read'
                 if len(self) >= self.total else
                 f'{len(self)} of the {self.total} images could not be read')
        raise RuntimeError(
            f'{found}, expected {self.limit} at most '
            f'(max_corrupt={self.max_corrupt!r}), the last being {path!r}, '
            f'which {reason}; repair or remove them, look whether the disk '
            'is still there, or raise max_corrupt of the dataset.')


def walk_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a dataset and all those that it wraps.

    Args:
        dataset (Dataset): Wrappers keep theirs in ``dataset`` or
            ``datasets``.
    """
    yield dataset
    for inner in (getattr(dataset, 'dataset', None),
                  *getattr(dataset, 'datasets', ())):
        if inner is not None:
            yield from walk_datasets(inner)
