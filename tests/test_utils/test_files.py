# Copyright (c) mmloc contributors. All rights reserved.
import os

import pytest

from mmloc.utils.files import atomic_write


@pytest.mark.parametrize(('mode', 'text'), [('wb', b'x'), ('w', 'x')])
def test_a_full_disk_is_named(tmp_path, file_size_limit, mode, text):
    path = tmp_path / 'a.txt'
    for num in (2000, 200000):  # refused when closed, and when written
        with file_size_limit(1000), pytest.raises(
                RuntimeError, match=r"^Cannot write '.*a.txt' .*make room"):
            with atomic_write(str(path), mode=mode) as file:
                file.write(text * num)
        assert list(tmp_path.iterdir()) == []
    with atomic_write(str(path), mode=mode) as file:
        file.write(text * 2000)
    assert path.stat().st_size == 2000


def test_waits_for_the_disk(tmp_path, monkeypatch):
    """For the content and the name, unless told not to."""
    synced = []
    monkeypatch.setattr(os, 'fsync', lambda handle: synced.append(
        os.readlink(f'/proc/self/fd/{handle}')))
    for durable in (True, False):
        with atomic_write(str(tmp_path / f'{durable}'), durable=durable):
            pass
    assert [path == str(tmp_path) for path in synced] == [False, True]
