# Copyright (c) mmloc contributors. All rights reserved.
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from mmloc.utils.journal import Journal

JOB = dict(scale=300.0, shard='1/1')


def _fill(folder, records, size=9):
    with Journal(folder) as journal:
        journal.begin(JOB, size)
        for item, tag, payload in records:
            journal.append(item, tag, payload)


def _read(folder, size=9):
    with Journal(folder) as journal:
        journal.begin(JOB, size)
        return {
            i: (int(tag), journal.read(i))
            for i, tag in enumerate(journal.tags) if tag
        }


def test_goes_on_over_several_runs(tmp_path):
    _fill(tmp_path, [(3, 1, b'three'), (0, 2, b'')])
    _fill(tmp_path, [(5, 1, b'five' * 999)])
    _fill(tmp_path, [])
    _fill(tmp_path, [(0, 1, b'zero')])
    assert _read(tmp_path) == {
        0: (1, b'zero'), 3: (1, b'three'), 5: (1, b'five' * 999)}
    assert len(list(tmp_path.glob('*.part'))) == 3


def test_a_torn_end_is_left_out(tmp_path):
    """Wherever a write was cut off, what came before is kept."""
    _fill(tmp_path, [(3, 1, b'three'), (4, 1, b'four')])
    part, = tmp_path.glob('*.part')
    whole = part.read_bytes()
    for size in range(len(whole)):
        part.write_bytes(whole[:size])
        kept = _read(tmp_path)
        assert kept == ({3: (1, b'three')} if size >= 17 + 5 else {})
    part.write_bytes(whole[:-1] + b'X')
    assert _read(tmp_path) == {3: (1, b'three')}
    part.write_bytes(whole[:20] + bytes(2) + whole[22:])  # within 'three'
    assert _read(tmp_path) == {}
    part.write_bytes(whole[:-2])
    _fill(tmp_path, [(7, 1, b'seven')])
    assert _read(tmp_path) == {3: (1, b'three'), 7: (1, b'seven')}


def test_another_job_is_refused(tmp_path):
    _fill(tmp_path, [(3, 1, b'three')])
    with Journal(tmp_path) as journal:
        with pytest.raises(ValueError, match=r'begun with scale 300.0 and now '
                           r'200.0: give the same to go on'):
            journal.begin(dict(JOB, scale=200.0), 9)
        journal.begin(dict(JOB, scale=200.0), 9, restart=True)
        assert not journal.tags.any()


@pytest.mark.parametrize('content', [b'', b'{"a', b'3', b'\xff'])
def test_a_damaged_job(tmp_path, content):
    _fill(tmp_path, [(3, 1, b'three')])
    (tmp_path / 'job.json').write_bytes(content)
    with pytest.raises(ValueError, match=r'job.json.* is damaged, .*restart'):
        _fill(tmp_path, [])
    with Journal(tmp_path) as journal:
        journal.begin(JOB, 9, restart=True)


def test_only_one_process(tmp_path):
    context = multiprocessing.get_context('fork')
    with ProcessPoolExecutor(1, context) as pool:
        with Journal(tmp_path):
            with pytest.raises(RuntimeError, match=r'^process \d+ on .* is at '
                               r'work on .*: wait for its end'):
                pool.submit(_fill, tmp_path, []).result()
        pool.submit(_fill, tmp_path, []).result()
    with Journal(tmp_path) as journal:
        journal.remove()
    assert not tmp_path.exists()


def test_a_full_disk(tmp_path, file_size_limit):
    records = [(i, 1, b'x' * 1000) for i in range(9)]
    with file_size_limit(3500):
        with pytest.raises(RuntimeError, match='Cannot write to'):
            _fill(tmp_path, records)
        # Neither the lock nor the torn record is in the way.
        _fill(tmp_path, records[5:8])
    assert list(_read(tmp_path)) == [0, 1, 2, 5, 6, 7]


def test_goes_on_after_a_failed_append(tmp_path, file_size_limit):
    with Journal(tmp_path) as journal:
        journal.begin(JOB, 9)
        with file_size_limit(1500):
            journal.append(0, 1, b'x' * 1000)
            with pytest.raises(RuntimeError, match='Cannot write to'):
                journal.append(1, 1, b'y' * 1000)
        journal.append(2, 1, b'z' * 1000)
        assert [journal.read(i)[:1] for i in (0, 2)] == [b'x', b'z']
    assert list(_read(tmp_path)) == [0, 2]


def test_a_strange_folder_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match='is not a journal'):
        Journal(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']
    (tmp_path / 'lock').write_text('of mine')
    with pytest.raises(ValueError, match='not the lock of a journal'):
        Journal(tmp_path).__enter__()
    assert (tmp_path / 'lock').read_text() == 'of mine'


def test_files_of_others_outlive_it(tmp_path):
    _fill(tmp_path, [(3, 1, b'three')])
    for name in ('chapter.part', 'whole.txt', '.a.tmp'):
        (tmp_path / name).write_text('mine')
    with Journal(tmp_path) as journal:
        journal.begin(JOB, 9, restart=True)
        journal.append(3, 1, b'three')
        journal.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        '.a.tmp', 'chapter.part', 'whole.txt']
