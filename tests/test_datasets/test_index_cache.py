# Copyright (c) mmloc contributors. All rights reserved.
import errno
import json
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest

from mmloc.datasets import (
    UnlabeledImageDataset,
    archive_index,
    image_archives,
    image_folders,
    index_cache,
    zip_index,
)
from mmloc.datasets.archives import open_archive
from mmloc.datasets.image_sources import read_images


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Lists of any length are kept, in a folder of the test."""
    monkeypatch.setenv('MMLOC_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(index_cache, 'MIN_ROWS', 1)
    # Also of sources that were made a moment ago.
    monkeypatch.setattr(index_cache, '_SETTLED', -10**12)
    monkeypatch.setattr(archive_index, '_MIN_ROWS', 1)
    return tmp_path / 'cache' / 'image_lists'


@pytest.fixture
def folder(tmp_path):
    for name in ('a/1.jpg', 'a/2.jpg', 'b.jpg'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return tmp_path / 'images'


def _names(table):
    return [os.path.basename(info['img_path']) for info in table]


def _keep_time(path, change):
    """As rsync and tar do, which set the times that they have noted."""
    status = os.stat(path)
    change()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_mapped(table):
    return isinstance(table._names.blob, np.memmap)


def test_a_folder_is_walked_once(folder, monkeypatch):
    first = read_images('', str(folder))
    monkeypatch.setattr(image_folders, '_walk', None)
    second = read_images('', str(folder))
    assert _is_mapped(second)
    assert not _is_mapped(first)
    assert list(first) == list(second)
    assert _names(second) == ['1.jpg', '2.jpg', 'b.jpg']


@pytest.mark.parametrize('change', [
    lambda folder: (folder / 'a' / '3.jpg').write_bytes(b''),
    lambda folder: (folder / 'a' / '1.jpg').unlink(),
    lambda folder: (folder / 'a' / '1.jpg').rename(folder / 'a' / '0.jpg'),
    lambda folder: (folder / 'a').rename(folder / 'c'),
    lambda folder: (folder / 'new').mkdir(),
    lambda folder: _keep_time(folder / 'a', lambda: (
        folder / 'a' / '3.jpg').write_bytes(b'')),
])
def test_a_changed_folder_is_walked_again(folder, change):
    read_images('', str(folder))
    change(folder)
    table = read_images('', str(folder))
    assert not _is_mapped(table)
    assert len(table) == len([*folder.rglob('*.jpg')])


def test_a_link_that_leads_elsewhere(tmp_path):
    for name in ('1', '2'):
        (tmp_path / name).mkdir()
        (tmp_path / name / f'{name}.jpg').write_bytes(b'')
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / 'link'
    for name in ('1', '2'):
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        assert _names(read_images('', str(link))) == [f'{name}.jpg']


def test_a_folder_that_changes_while_it_is_read(folder, monkeypatch):
    walk = os.walk

    def slow_walk(*args, **kwargs):
        for step in walk(*args, **kwargs):
            if step[0].endswith('a'):
                (folder / 'a' / '3.jpg').write_bytes(b'')
            yield step

    monkeypatch.setattr(os, 'walk', slow_walk)
    assert len(read_images('', str(folder))) == 3
    monkeypatch.setattr(os, 'walk', walk)
    assert len(read_images('', str(folder))) == 4


def test_what_has_just_changed_is_not_kept(folder, cache, monkeypatch):
    monkeypatch.setattr(index_cache, '_SETTLED', 2 * 10**9)
    (folder / 'list.txt').write_text('a/1.jpg')
    read_images('', str(folder))
    read_images(str(folder / 'list.txt'), str(folder))
    assert not cache.exists()


def test_one_rank_of_a_machine_keeps(folder, cache, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    read_images('', str(folder))
    assert not cache.exists()


def test_what_another_process_maps_is_left_alone(folder):
    """Two processes that both found nothing."""
    stamp, _ = image_folders._walk(str(folder))
    arrays = read_images('', str(folder)).arrays()
    caches = [index_cache.IndexCache('x', str(folder)) for _ in range(2)]
    caches[0].save(stamp, arrays)
    mapped = caches[0].load(stamp.__eq__)['names'].filename
    caches[1].save(stamp, arrays)
    assert caches[1].load(stamp.__eq__)['names'].filename == mapped
    caches[1].save([['.', 1, 2]], arrays)
    assert os.path.exists(mapped)


def test_where(monkeypatch, tmp_path, folder):
    monkeypatch.delenv('MMLOC_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    read_images('', str(folder))
    assert (tmp_path / 'xdg' / 'mmloc' / 'image_lists').is_dir()
    # Nobody knows such a user's home.
    lines = []
    monkeypatch.setattr(index_cache, 'print_log',
                        lambda text, **_: lines.append(text))
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
    monkeypatch.chdir(tmp_path)
    assert len(read_images('', str(folder))) == 3
    assert 'has no home' in lines[0]
    assert not os.path.exists('~')


@pytest.mark.parametrize('suffix', ['txt', 'json'])
def test_lists(tmp_path, suffix):
    ann_file = tmp_path / f'list.{suffix}'

    def write(*names):
        images = [dict(file_name=name, height=2, width=3) for name in names]
        ann_file.write_text('\n'.join(names) if suffix == 'txt' else
                            json.dumps(dict(images=images)))

    write('a.jpg', 'b.jpg')
    first = read_images(str(ann_file), 'root')
    # The prefix is no part of what is kept.
    second = read_images(str(ann_file), 'other')
    assert _is_mapped(second)
    assert second[1] == dict(first[1], img_path='other/b.jpg')
    write('c.jpg', 'd.jpg', 'e.jpg')
    assert _names(read_images(str(ann_file), '')) == ['c.jpg', 'd.jpg',
                                                      'e.jpg']


def test_archives(tmp_path, monkeypatch):
    path = str(tmp_path / 'a.zip')
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('a.png', b'one')
    assert open_archive(path).read('a.png') == b'one'
    monkeypatch.setattr(zip_index, 'read_directory', None)
    # As in another process.
    index = pickle.loads(pickle.dumps(zip_index.ZipIndex(path)))
    assert index.read('a.png') == b'one'
    assert isinstance(index._names.blob, np.memmap)


def test_shards_are_walked_through_once(tmp_path, monkeypatch):
    for i in range(2):
        with zipfile.ZipFile(tmp_path / f's-{i}.zip', 'w') as file:
            file.writestr(f'{i}.png', b'one')
    pattern = str(tmp_path / 's-*.zip')
    first = read_images('', pattern)
    monkeypatch.setattr(image_archives, 'open_archive', None)
    assert list(read_images('', pattern)) == list(first)
    assert _names(first) == ['0.png', '1.png']
    (tmp_path / 's-1.zip').rename(tmp_path / 's-2.zip')
    with pytest.raises(TypeError):  # it is opened again
        read_images('', pattern)


@pytest.mark.parametrize('damage', [
    lambda path: path.unlink(),
    lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    # What a power cut leaves of a file that did not wait for the disk.
    lambda path: path.write_bytes(bytes(path.stat().st_size)),
    lambda path: path.write_bytes(path.read_bytes()[:-9] + bytes(9)),
])
@pytest.mark.parametrize('part', ['json', 'names.npy', 'ends.npy'])
def test_damaged_and_missing_parts_are_made_anew(folder, cache, damage, part):
    table = read_images('', str(folder))
    path, = cache.glob(f'*{part}')
    before = path.read_bytes()
    damage(path)
    assert not path.exists() or path.read_bytes() != before
    again = read_images('', str(folder))
    assert not _is_mapped(again)
    assert list(again) == list(table)
    assert _is_mapped(read_images('', str(folder)))


def test_old_versions_do_not_pile_up(folder, cache):
    read_images('', str(folder))
    for path in cache.iterdir():
        os.utime(path, (1, 1))
    (folder / 'c.jpg').write_bytes(b'')
    read_images('', str(folder))
    assert len([*cache.iterdir()]) == 3
    # Age is that of the last use.
    for path in cache.iterdir():
        os.utime(path, (1, 1))
    read_images('', str(folder))
    (folder / 'd.jpg').write_bytes(b'')
    read_images('', str(folder))
    assert len([*cache.iterdir()]) == 5


def test_a_folder_that_cannot_be_written_to_is_said(folder, monkeypatch,
                                                    tmp_path):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MMLOC_CACHE', str(tmp_path / 'file'))
    lines = []
    monkeypatch.setattr(index_cache, 'print_log',
                        lambda text, **_: lines.append(text))
    assert len(read_images('', str(folder))) == 3
    assert 'let MMLOC_CACHE name a folder' in lines[0]


def test_a_full_disk_is_left_as_it_was(folder, cache, monkeypatch):
    lines = []
    monkeypatch.setattr(index_cache, 'print_log',
                        lambda text, **_: lines.append(text))

    def no_room(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(json, 'dump', no_room)  # comes last
    assert len(read_images('', str(folder))) == 3
    assert 'let MMLOC_CACHE name a folder' in lines[0]
    assert list(cache.iterdir()) == []


def test_spawned_workers_map_the_same_file(folder):
    read_images('', str(folder))
    dataset = UnlabeledImageDataset(data_root=str(folder))
    copy = pickle.loads(pickle.dumps(dataset))
    assert _is_mapped(copy.data_list)
    assert copy.get_data_info(2) == dataset.get_data_info(2)


def test_spawned_workers_do_without_the_file(folder, cache):
    read_images('', str(folder))
    dataset = UnlabeledImageDataset(data_root=str(folder))
    dataset.full_init()
    shutil.rmtree(cache)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.get_data_info(2) == dataset.get_data_info(2)


def test_subsets_keep_the_ids(folder):
    dataset = UnlabeledImageDataset(data_root=str(folder), indices=[2, 0])
    assert [dataset.get_data_info(i)['img_id'] for i in (0, 1)] == [2, 0]
    assert len(UnlabeledImageDataset(data_root=str(folder), indices=2)) == 2
