# Copyright (c) mmloc contributors. All rights reserved.
"""Long commands one after the other: a line for each, its output in a file."""
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

#: What mmengine logs every few iterations, by epochs or by iterations.
_TRAIN = re.compile(r'(?:Epoch|Iter)\(train\)\s+(?:\[\s*(?P<epoch>\d+)\])?'
                    r'\[\s*(?P<done>\d+)/(?P<total>\d+)\].*?'
                    r'eta: (?P<left>.+?)  .*?\bloss: (?P<loss>\S+)')
_VAL = re.compile(r'(?:Epoch|Iter)\(val\).*?\[\s*(\d+)/(\d+)\]')
#: What :func:`mmloc.utils.progress.track` prints where there is no terminal.
_TRACK = re.compile(r': (\d+/\d+), .*?, (\d+ s left)$')
#: Linux alone can send a process a signal when its parent ends.
_PRCTL = getattr(ctypes.CDLL(None), 'prctl', None)
_PDEATHSIG = 1


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds.

    Args:
        seconds (float): The time.

    Returns:
        str: Such as '1:05'.
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes}:{seconds:02d}'


def run_stage(title: str,
              command: Sequence[str],
              log: str,
              cwd: str,
              console: Console | None = None,
              interval: float = 15.0) -> float:
    """Run a command quietly and show how far it is.

    Its output goes to a file. On a terminal a live line says what the newest
    progress line of mmengine or of :func:`mmloc.utils.progress.track` said,
    elsewhere a plain line does now and then. The command has no input.

    Args:
        title (str): What the command does.
        command (Sequence[str]): Program and arguments.
        log (str): File for the output, made anew.
        cwd (str): Folder to run in.
        console (Console, optional): Where to show it. Defaults to the
            standard output.
        interval (float): Seconds between two lines where the console is no
            terminal. Defaults to 15.

    Returns:
        float: Seconds that it took.

    Raises:
        RuntimeError: The command failed; the sentence quotes its error.
    """
    console = console or Console()
    start = shown = time.monotonic()
    with open(log, 'w', encoding='utf-8') as file, subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            encoding='utf-8', errors='replace', start_new_session=True,
            preexec_fn=_end_with_parent if _PRCTL else None,
            # Its progress lines are read here, where no terminal is.
            env=dict(os.environ, PYTHONUNBUFFERED='1', FORCE_COLOR='')
    ) as process, _live_line(console, title) as live:
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                doing = describe_progress(line.rstrip())
                now = time.monotonic()
                if doing:
                    live.update(live.task_ids[0], doing=doing)
                    if (not console.is_terminal
                            and now - shown >= interval):
                        shown = now
                        _print(console, now - start, f'{title}: {doing}')
        except BaseException:
            # Its data loaders' workers too, which would outlive it.
            os.killpg(process.pid, signal.SIGTERM)
            raise
    seconds = time.monotonic() - start
    if process.returncode:
        raise RuntimeError(
            f'"{title}" failed after {clock(seconds)}: {_last_error(log)} '
            f'(all of its output is in {log})')
    _print(console, seconds, title, 'bold')
    return seconds


def describe_progress(line: str) -> str:
    """Shorten a progress line.

    Args:
        line (str): A line of output.

    Returns:
        str: How far it is, '' if the line does not say so.
    """
    if match := _TRAIN.search(line):
        epoch = f'epoch {match["epoch"]}, ' if match['epoch'] else ''
        return (f'{match["left"]} left, {epoch}{match["done"]} of '
                f'{match["total"]}, loss {float(match["loss"]):.3g}')
    if match := _VAL.search(line):
        return f'evaluation, {match[1]} of {match[2]}'
    if match := _TRACK.search(line):
        return f'{match[2]}, {match[1]}'
    return ''


class _Clock(ProgressColumn):
    """Minutes and seconds since the start."""

    def render(self, task: Task) -> Text:
        return Text(f'{clock(task.elapsed or 0):>7}')


def _live_line(console: Console, title: str) -> Progress:
    live = Progress(
        _Clock(), SpinnerColumn(), TextColumn(title, markup=False),
        # What a narrow terminal has no room for is cut off.
        TextColumn(
            '{task.fields[doing]}', style='dim', markup=False,
            table_column=Column(no_wrap=True, overflow='crop', ratio=1)),
        console=console, expand=True, transient=True, refresh_per_second=4,
        disable=not console.is_terminal)
    live.add_task(title, total=None, doing='starting')
    return live


def _print(console: Console, seconds: float, text: str, style: str = ''):
    console.print(f'{clock(seconds):>7}  {text}', style=style, markup=False,
                  highlight=False, soft_wrap=True)


def _end_with_parent() -> None:
    """Get SIGTERM, as from us, if this program ends without sending it."""
    _PRCTL(_PDEATHSIG, signal.SIGTERM)


def _last_error(log: str) -> str:
    """The sentence of a tool of ours, or the last line of a traceback."""
    lines = Path(log).read_text(encoding='utf-8').strip().splitlines()
    for line in reversed(lines):
        if match := re.match(r'error(?: \(rank \d+\))?: (.*)', line):
            return match[1]
    return lines[-1].strip() if lines else 'it said nothing'
