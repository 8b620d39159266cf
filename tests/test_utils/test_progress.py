# Copyright (c) mmloc contributors. All rights reserved.
import io

from rich.console import Console

from mmloc.utils.progress import track


def test_plain_lines_in_a_file():
    console = Console(file=io.StringIO(), width=30)
    items = track('abcd', 4, 'letters', console, interval=0)
    assert list(items) == list('abcd')
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith('letters: 4/4, ')
    assert lines[-1].endswith('/s, 0 s left')


def test_rare_lines():
    console = Console(file=io.StringIO())
    list(track(range(100), 100, 'steps', console, interval=1e9))
    assert len(console.file.getvalue().splitlines()) == 1


def test_bar_on_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    assert list(track(range(3), 3, 'steps', console)) == [0, 1, 2]
    assert '3/3' in console.file.getvalue()
