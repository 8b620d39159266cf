# Copyright (c) mmloc contributors. All rights reserved.
"""Progress of the long tools: a live bar, or plain lines in a log file."""
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar('T')


class _RateColumn(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f'{task.speed or 0:.1f}/s', style='progress.data.speed')


def track(items: Iterable[T],
          total: int,
          description: str,
          console: Console | None = None,
          interval: float = 5.0) -> Iterator[T]:
    """Pass items through and show how far they are, how fast and how long.

    Args:
        items (Iterable): What is worked on.
        total (int): How many items there are.
        description (str): A few words on what is done.
        console (Console, optional): Where to show it. Defaults to the
            standard error.
        interval (float): Seconds between two lines where the console is no
            terminal. Defaults to 5.

    Yields:
        The items, unchanged.
    """
    console = console or Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn('{task.description}'), BarColumn(),
                   MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(description, total=total)
            for item in items:
                yield item
                progress.advance(task)
        return
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= interval or done == total:
            shown = now
            rate = done / max(now - start, 1e-9)
            console.print(
                f'{description}: {done}/{total}, {rate:.1f}/s, '
                f'{(total - done) / rate:.0f} s left',
                highlight=False,
                soft_wrap=True)
