# Copyright (c) mmloc contributors. All rights reserved.
"""Walk through a JSON file of gigabytes without holding it."""
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

_CHUNK = 1 << 22


class JsonStream:
    """Read a JSON text value by value.

    Python's decoder needs the whole text at once, and the boxes of a million
    images take many gigabytes as Python lists. Here the caller walks into
    the outer objects and arrays, and only the values it asks for are built.

    Args:
        file (IO[str]): Open for reading as text.

    Raises:
        ValueError: The text is not JSON, or not of the form asked for.

    Examples:
        >>> for key in stream.members():
        ...     value = stream.value()  # each value has to be taken
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ''
        self._pos = 0
        self._passed = 0
        self._decode = json.JSONDecoder().raw_decode

    def members(self) -> Iterator[str]:
        """Walk into an object; yields each key before its value."""
        for _ in self._walk('{', '}'):
            key = self.value()
            self._expect(':')
            yield key

    def elements(self) -> Iterator[None]:
        """Walk into an array; yields before each element."""
        return self._walk('[', ']')

    def value(self) -> Any:
        """Take the next value."""
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._pos)
            except json.JSONDecodeError:
                # A value cut in two by the end of what has been read.
                if not self._read_more():
                    raise self._error('a JSON value') from None
                continue
            # A number may go on in what has not been read yet, as 1.|5
            # and 1e|5 do.
            whole = self._text[end:end + 1] not in ('', '.', 'e', 'E')
            if whole or not self._read_more():
                self._pos = end
                return value

    def peek(self) -> str:
        """The first character of the next value, '' at the end."""
        return self._peek()

    def _walk(self, first: str, last: str) -> Iterator[None]:
        self._expect(first)
        if self._peek() == last:
            self._pos += 1
            return
        while True:
            yield
            if self._peek() == last:
                self._pos += 1
                return
            self._expect(',')

    def _peek(self) -> str:
        while True:
            while (self._pos < len(self._text)
                   and self._text[self._pos] in ' \t\r\n'):
                self._pos += 1
            if self._pos < len(self._text):
                return self._text[self._pos]
            if not self._read_more():
                return ''

    def _expect(self, char: str) -> None:
        if self._peek() != char:
            raise self._error(repr(char))
        self._pos += 1

    def _read_more(self) -> bool:
        rest = self._text[self._pos:]
        # Twice as much each time, so that a huge value takes linear time.
        chunk = self._file.read(max(_CHUNK, len(rest)))
        self._passed += self._pos
        self._text, self._pos = rest + chunk, 0
        return bool(chunk)

    def _error(self, expected: str) -> ValueError:
        found = repr(self._text[self._pos:self._pos + 20])
        return ValueError(
            f'expected {expected} at character {self._passed + self._pos}, '
            f'found {found if found != repr("") else "the end"}')


@contextmanager
def opened_json(path: str, expected: str) -> Iterator[JsonStream]:
    """Open a JSON file; what is wrong with it becomes one sentence.

    Args:
        path (str): The file.
        expected (str): What it should be.

    Yields:
        JsonStream: At its beginning.

    Raises:
        ValueError: In place of any error that the content caused.
    """
    with open(path, encoding='utf-8') as file:
        try:
            yield JsonStream(file)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path!r} is not {expected} ({type(error).__name__}: '
                f'{error}); check the file, or say what it is.') from error


def to_xyxy(boxes: Sequence) -> np.ndarray:
    """Convert boxes (x, y, w, h) by x2 = x + w.

    Args:
        boxes (Sequence): (n, 4) or more columns, which are dropped.

    Returns:
        np.ndarray: (n, 4), float32.
    """
    if len(boxes) == 0:
        return np.zeros((0, 4), np.float32)
    boxes = np.array(boxes, np.float64)
    if boxes.ndim != 2:
        raise ValueError(f'boxes of shape {boxes.shape}, expected (n, 4)')
    boxes = boxes[:, :4]
    boxes[:, 2:] += boxes[:, :2]
    return boxes.astype(np.float32)


def to_xywh(boxes: np.ndarray) -> list[list]:
    """Convert boxes to (x, y, w, h), whole numbers without a decimal point.

    Args:
        boxes (np.ndarray): (n, 4), xyxy.

    Returns:
        list[list]: Ready for JSON.
    """
    boxes = boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    whole = (boxes == np.round(boxes)).all()
    return (boxes.astype(np.int64) if whole else boxes).tolist()
