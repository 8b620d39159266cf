# Copyright (c) mmloc contributors. All rights reserved.
import json
import multiprocessing
import os
import shutil
import warnings

import numpy as np
import pytest

from mmloc.proposals.cache import ProposalCache

PARAMS = dict(scale=300.0)


@pytest.fixture
def cache(tmp_path):
    return ProposalCache(str(tmp_path), PARAMS)


def _boxes(number, num=3):
    return np.random.default_rng(number).random((num, 4), np.float32)


def _key(number, bucket='abc'):
    """Keys of one file, as the first 12 bits are the same."""
    return bytes.fromhex(f'{bucket}{number:029x}')


def _file(cache):
    return os.path.join(cache.folder, 'abc')


def test_put_and_get(cache):
    assert cache.get(_key(0)) is None
    for i in range(20):
        cache.put(_key(i), _boxes(i, num=i % 4))
    for i in range(20):
        np.testing.assert_array_equal(cache.get(_key(i)), _boxes(i, i % 4))
    assert cache.get(_key(99)) is None
    assert cache.get(_key(1)).dtype == np.float32
    size = os.path.getsize(_file(cache))
    assert size == sum(24 + 16 * (i % 4) for i in range(20))


def test_keys_are_of_pixels_and_shape(cache):
    img = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert cache.key_of(img) == cache.key_of(img.copy(order='F'))
    assert cache.key_of(img) != cache.key_of(img.reshape(4, 2, 3))
    other = img.copy()
    other[1, 2, 0] ^= 1
    assert cache.key_of(img) != cache.key_of(other)
    assert len(cache.key_of(img)) == 16


def test_parameters_have_folders_of_their_own(tmp_path, cache):
    cache.put(_key(0), _boxes(0))
    other = ProposalCache(str(tmp_path), dict(scale=200.0))
    assert other.get(_key(0)) is None
    again = ProposalCache(str(tmp_path), dict(PARAMS))
    np.testing.assert_array_equal(again.get(_key(0)), _boxes(0))
    with open(os.path.join(cache.folder, 'params.json')) as f:
        assert json.load(f) == dict(PARAMS, algorithm=1)


def test_an_entry_cut_off_anywhere(cache):
    """A kill while writing: the file ends within the second entry."""
    for size in range(72):
        for i in range(2):
            cache.put(_key(i), _boxes(i))
        os.truncate(_file(cache), 72 + size)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            assert cache.get(_key(1)) is None
        # What does not even hold the key is as good as not there.
        assert len(caught) == (size >= 16)
        cache.put(_key(2), _boxes(2))
        cache.put(_key(1), _boxes(1))
        for i in range(3):
            np.testing.assert_array_equal(cache.get(_key(i)), _boxes(i))
        os.remove(_file(cache))


def test_a_damaged_entry(cache):
    for i in range(3):
        cache.put(_key(i), _boxes(i))
    with open(_file(cache), 'r+b') as f:
        f.seek(72 + 50)
        f.write(b'x')
    with pytest.warns(UserWarning, match='cut off or damaged'):
        assert cache.get(_key(1)) is None
    np.testing.assert_array_equal(cache.get(_key(2)), _boxes(2))
    cache.put(_key(1), _boxes(1))
    np.testing.assert_array_equal(cache.get(_key(1)), _boxes(1))


def _fill(cache, first, num):
    for i in range(first, first + num):
        cache.put(_key(i), _boxes(i, num=40))


def test_many_processes_share_one_file(cache):
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=_fill, args=(cache, 200 * i, 200))
               for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert os.path.getsize(_file(cache)) == 800 * (24 + 16 * 40)
    for i in range(800):
        np.testing.assert_array_equal(cache.get(_key(i)), _boxes(i, 40))


def test_a_folder_deleted_while_it_is_in_use(cache):
    cache.put(_key(0), _boxes(0))
    shutil.rmtree(os.path.dirname(cache.folder))
    assert cache.get(_key(0)) is None
    cache.put(_key(0), _boxes(0))
    np.testing.assert_array_equal(cache.get(_key(0)), _boxes(0))
    assert os.path.isfile(os.path.join(cache.folder, 'params.json'))


def test_folders_that_cannot_be_written(tmp_path, cache):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match=r"file' cannot be written to"):
        ProposalCache(str(tmp_path / 'file'), PARAMS)
    os.mkdir(_file(cache))
    with pytest.raises(RuntimeError, match=r'cannot be written \(Is a dir'):
        cache.put(_key(0), _boxes(0))
