# Copyright (c) mmloc contributors. All rights reserved.
"""How the command-line tools tell a user's mistake from a defect.

A mistake (a path, a key, a type or a value that does not exist) ends a tool
with one sentence and exit code 2. Anything else is a defect of the program
and keeps its traceback.
"""
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config.utils import ConfigParsingError
from rich.console import Console

#: Errors that always come from outside of the program.
_INPUT_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError,
                 PermissionError, ConfigParsingError)
#: What the constructors of the ecosystem raise on a wrong setting.
_CONFIG_ERRORS = (KeyError, TypeError, ValueError, AssertionError,
                  ImportError)
_PACKAGE = Path(__file__).resolve().parents[1]
EXIT_CODE = 2


@contextmanager
def user_errors(show_traceback: bool = False) -> Iterator[None]:
    """End the program with one sentence when the user made a mistake.

    Caught are errors about files, and those that mmloc raises on purpose,
    which by the rules of this project are about the input. Other exceptions
    pass.

    Args:
        show_traceback (bool): Whether to let every exception pass with its
            traceback. The environment variable ``MMLOC_TRACEBACK=1`` does
            the same. Defaults to False.

    Raises:
        SystemExit: With code 2 on a mistake, 130 on Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = explain(error)
        if (sentence is None or show_traceback
                or os.environ.get('MMLOC_TRACEBACK') == '1'):
            raise
        _print_error(sentence, error)
        sys.exit(EXIT_CODE)


@contextmanager
def building(what: str) -> Iterator[None]:
    """Say that an error arose while objects were built from a config.

    Args:
        what (str): What it is built for, with the config's name.

    Raises:
        ValueError: In place of any error with which the constructors of the
            ecosystem answer a wrong setting; the original is its cause.
    """
    try:
        yield
    except _CONFIG_ERRORS as error:
        raise ValueError(
            f'cannot build for {what}: {_message(error)}') from error


def explain(error: BaseException) -> str | None:
    """Put a user's mistake into one sentence.

    Args:
        error (BaseException): The exception that ended the program.

    Returns:
        str, optional: The sentence, None if the exception is not one that
        input can cause.
    """
    if isinstance(error, OSError) and error.filename is not None:
        return (f'{(error.strerror or type(error).__name__).lower()}: '
                f'{error.filename!r}; check the path')
    if isinstance(error, _INPUT_ERRORS) or _raised_on_purpose(error):
        return _message(error)
    return None


def _raised_on_purpose(error: BaseException) -> bool:
    """Whether a ``raise`` statement of this package made the exception,
    perhaps in a data loader's worker, which hands on the traceback as text."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    path, line = frames[-1].filename, frames[-1].line
    if str(error).startswith('Caught '):
        places = re.findall(r'File "(.+)", line \d+.*\n(.*)', str(error))
        path, line = places[-1] if places else (path, line)
    inside = _PACKAGE in Path(path).resolve().parents
    return inside and (line or '').strip().startswith('raise ')


def _message(error: BaseException) -> str:
    """The text of an exception, without the quotes of a KeyError, and that
    of the original if a data loader's worker has wrapped it."""
    text = str(error.args[0]) if len(error.args) == 1 else str(error)
    if text.startswith('Caught '):  # the last line is 'Type: message'
        text = text.rstrip().splitlines()[-1].partition(': ')[2]
    return text or type(error).__name__


def _print_error(sentence: str, error: BaseException) -> None:
    origin = error.__cause__ or error
    frames = traceback.extract_tb(origin.__traceback__)
    place = f' at {frames[-1].filename}:{frames[-1].lineno}' if frames else ''
    rank = os.environ.get('RANK')
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print('[bold red]error:[/]' if rank is None else
                  f'[bold red]error (rank {rank}):[/]', end=' ')
    console.print(sentence, markup=False)
    console.print(
        f'({type(origin).__name__}{place}; --traceback shows the way there)',
        style='dim', markup=False)
