# Copyright (c) mmloc contributors. All rights reserved.
from contextlib import suppress

from mmloc.datasets.archive_index import UnusualArchiveError


def compare_readers(monkeypatch, module, name, path, contents, index, read):
    """Read damaged archives by the own reader and by the standard library's.

    Args:
        monkeypatch: Pytest's.
        module: Of the index that calls the own reader.
        name (str): The own reader in it.
        path (Path): Where the archives are written.
        contents (Iterable[bytes]): The archives.
        index (callable): Gives the index of a path.
        read (callable): Gives what the own reader finds in a path.

    Returns:
        tuple: The kinds of all results, which are the same for both: dict
        for an index, str for an error; and how often the own reader itself
        found members.
    """
    own, results, own_results = getattr(module, name), [], 0
    for content in contents:
        path.write_bytes(content)
        found = []
        for reader in (own, _never):
            monkeypatch.setattr(module, name, reader)
            found.append(_index_or_error(index, path))
        assert found[0] == found[1]
        results.append(type(found[0]))
        with suppress(UnusualArchiveError):
            own_results += bool(read(path))
    return results, own_results


def _index_or_error(index, path):
    try:
        return index(path)
    except ValueError as error:
        return str(error)


def _never(pread, length):
    raise UnusualArchiveError
