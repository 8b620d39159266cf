# Copyright (c) mmloc contributors. All rights reserved.
import io
import json
import multiprocessing
import os
import pickle
import tarfile
import zipfile

import cv2
import lmdb
import numpy as np
import pytest
import torch
from mmengine import fileio

from mmloc.datasets import (
    UnlabeledImageDataset,
    UnreadableImageError,
    tar_index,
)
from mmloc.datasets.archives import open_archive, split_archive_path
from mmloc.datasets.image_checks import check_images_exist
from mmloc.datasets.image_sources import read_images
from mmloc.datasets.zip_index import ZipIndex

PIPELINE = [dict(type='mmloc.LoadImage')]


def _png(value, width=6):
    return cv2.imencode('.png', np.full((4, width, 3), value,
                                        np.uint8))[1].tobytes()


def _write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, 'w', method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return str(path)


def _paths(infos):
    return [info['img_path'] for info in infos]


@pytest.fixture
def archive(tmp_path):
    return _write_zip(
        tmp_path / 'train.zip', {
            'n/b.png': _png(2), 'n/': b'', 'n/a.PNG': _png(1), 'é.png':
            _png(3), 'notes.txt': b'x', '.c.png': b'', '__MACOSX/n/._b.png':
            b'', 'n/.d/e.png': b''
        })  # yapf: disable


def test_order_and_hidden_members(archive):
    names = ['n/a.PNG', 'n/b.png', 'é.png']
    for infos in (read_images('', archive), read_images(archive, 'ignored')):
        assert _paths(infos) == [f'zip://{archive}/{name}' for name in names]
    assert len(read_images('', f'{archive}/n/')) == 2


def test_odd_names_are_kept(tmp_path):
    names = ['../d.png', './c.png', '/a.png', 'n/../b.png', 'x//e.png']
    path = _write_zip(
        tmp_path / 'a.zip', {name: _png(i) for i, name in enumerate(names)})
    (tmp_path / 'list.txt').write_text('\n'.join(names))
    for ann_file in ('', str(tmp_path / 'list.txt')):
        dataset = UnlabeledImageDataset(
            ann_file, data_prefix=dict(img=path), pipeline=PIPELINE)
        samples = [dataset[i] for i in range(len(dataset))]
        assert [sample['img_name'] for sample in samples] == names
        assert [sample['img'][0, 0, 0] for sample in samples] == [*range(5)]


def test_a_folder_may_be_named_so(tmp_path):
    (tmp_path / 'a.zip').mkdir()
    path = _write_zip(tmp_path / 'a.zip' / 'B.ZIP', {'x.png': _png(0)})
    assert _paths(read_images('', path)) == [f'zip://{path}/x.png']
    (tmp_path / 'a.zip' / 'y.png').write_bytes(_png(0))
    folder = str(tmp_path / 'a.zip')
    assert _paths(read_images('', folder)) == [f'{folder}/y.png']


@pytest.mark.parametrize(('ann_file', 'prefix', 'names'), [
    ('', 'train.zip', ['n/a.PNG', 'n/b.png', 'é.png']),
    ('', 'train.zip/n', ['a.PNG', 'b.png']),
    ('train.zip', '', ['n/a.PNG', 'n/b.png', 'é.png']),
    ('list.txt', 'train.zip', ['n/b.png', 'é.png']),
    ('coco.json', 'train.zip/n', ['b.png']),
])
def test_dataset(tmp_path, archive, ann_file, prefix, names):
    (tmp_path / 'list.txt').write_text('n/b.png 0\né.png 1\n')
    (tmp_path / 'coco.json').write_text(
        json.dumps(dict(images=[dict(id=4, file_name='b.png')])))
    dataset = UnlabeledImageDataset(
        ann_file, str(tmp_path), dict(img=prefix), pipeline=PIPELINE)
    values = {'a.PNG': 1, 'b.png': 2, 'é.png': 3}
    samples = [dataset[i] for i in range(len(dataset))]
    assert [sample['img_name'] for sample in samples] == names
    for sample in samples:
        value = values[sample['img_path'].rpartition('/')[2]]
        assert (sample['img'] == value).all()
        assert sample['img'].shape == (4, 6, 3)


def _read_often(path, barrier):
    index = open_archive(path)
    barrier.wait()
    for i in range(20000):
        name = str(i * 7 % 100)
        assert index.read(name) == name.encode() * 50


def test_forked_workers_read_at_the_same_time(tmp_path):
    """A file position that they share would mix the members up."""
    path = _write_zip(tmp_path / 'a.zip', {
        str(i): str(i).encode() * 50 for i in range(100)
    }, zipfile.ZIP_STORED)  # yapf: disable
    assert open_archive(path).read('7') == b'7' * 50  # opened before
    context = multiprocessing.get_context('fork')
    barrier = context.Barrier(3)
    workers = [
        context.Process(target=_read_often, args=(path, barrier))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]


def test_data_loader(tmp_path):
    path = _write_zip(tmp_path / 'a.zip', {
        f'{i:02d}.png': _png(i, 50 + i) for i in range(20)
    })
    dataset = UnlabeledImageDataset(data_root=path, pipeline=PIPELINE)
    loader = torch.utils.data.DataLoader(
        dataset, num_workers=2, multiprocessing_context='fork',
        collate_fn=lambda samples: samples[0])
    for i, sample in enumerate(loader):
        assert sample['img'].shape[1] == 50 + i
        assert (sample['img'] == i).all()


def test_an_open_zip_is_not_sent_to_spawned_workers(archive):
    dataset = UnlabeledImageDataset(data_root=archive, pipeline=PIPELINE)
    assert dataset[0]['img_id'] == 0
    assert pickle.loads(pickle.dumps(dataset))[2]['img_name'] == 'é.png'


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_index_reads_what_zipfile_reads(tmp_path, method):
    rng = np.random.default_rng(0)
    members = {f'{i}/{"x" * i}.': rng.bytes(100 * i) for i in range(9)}
    path = _write_zip(tmp_path / 'a.zip', members, method)
    # Bytes before the zip, as in a self-extracting one.
    content = (tmp_path / 'a.zip').read_bytes()
    (tmp_path / 'a.zip').write_bytes(b'stub' * 9 + content)
    index = ZipIndex(path)
    assert len(index) == 9
    for name, content in members.items():
        assert index.read(name) == content
    assert index.find('9') is None
    assert index.find('') is None


def test_a_replaced_zip_is_read_anew(tmp_path):
    path = _write_zip(tmp_path / 'a.zip', {'a.png': _png(0)})
    assert [*open_archive(path)] == [b'a.png']
    _write_zip(path, {'b.png': _png(0), 'c.png': _png(0)})
    os.utime(path, (1, 1))
    assert [*open_archive(path)] == [b'b.png', b'c.png']


def test_unreadable_members(tmp_path):
    path = _write_zip(tmp_path / 'a.zip', {
        'bad.png': _png(77), 'empty.png': b'', 'text.png': b'no image'
    }, zipfile.ZIP_STORED)  # yapf: disable
    content = bytearray((tmp_path / 'a.zip').read_bytes())
    content[60] ^= 1
    (tmp_path / 'a.zip').write_bytes(content)
    dataset = UnlabeledImageDataset(data_root=path, pipeline=PIPELINE)
    for i, match in enumerate([r'bad.png.* is damaged; pack',
                               r'empty.png.* is empty', r'text.png.*damaged']):
        with pytest.raises(UnreadableImageError, match=rf'a\.zip.*{match}'):
            dataset[i]
    _write_zip(path, {'a.png': _png(7)}, zipfile.ZIP_LZMA)
    with pytest.raises(ValueError, match=r'a\.zip.* compressed by method 14'):
        open_archive(path).read('a.png')


def test_a_member_may_not_unpack_to_more_than_the_limit(
        tmp_path, monkeypatch):
    path = _write_zip(tmp_path / 'a.zip', {'bomb.png': bytes(1001),
                                           'fits.png': bytes(1000)})
    monkeypatch.setattr('mmloc.datasets.zip_index._MAX_BYTES', 1000)
    assert open_archive(path).read('fits.png') == bytes(1000)
    dataset = UnlabeledImageDataset(
        path, pipeline=PIPELINE, on_corrupt='skip', max_corrupt=1.0)
    assert dataset.prepare_data(0) is None
    reason, = dataset.unreadable.reasons.values()
    assert 'unpacks to more than 1000 bytes' in reason


def test_clear_errors(tmp_path, archive):
    with pytest.raises(ValueError, match=r"Found 0 images in 'm/' of the zip"):
        read_images('', f'{archive}/m')
    with pytest.raises(FileNotFoundError, match=r'b.zip.* does not exist'):
        read_images(str(tmp_path / 'b.zip'), '')
    (tmp_path / 'b.zip').write_bytes(b'PK nothing')
    with pytest.raises(ValueError, match=r'b.zip.* cannot be read as a zip'):
        read_images('', str(tmp_path / 'b.zip'))
    content = bytearray((tmp_path / 'train.zip').read_bytes())
    content[content.index(b'PK\1\2') + 6] = 99  # version needed
    (tmp_path / 'c.zip').write_bytes(content)
    with pytest.raises(ValueError, match=r'c.zip.* as a zip .*version 9.9'):
        read_images('', str(tmp_path / 'c.zip'))
    infos = [dict(img_path=f'zip://{archive}/n/c.png')]
    with pytest.raises(FileNotFoundError,
                       match=r'n/c.png.*train.zip.* has no such member'):
        check_images_exist(infos, 'list.txt', 'sample')
    with pytest.raises(FileNotFoundError, match=r'nowhere.zip.*ends in .zip'):
        split_archive_path('zip://nowhere.zip/a.png')


def _write_tar(path, members, mode='w'):
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return str(path)


def _write_lmdb(path, members, subdir):
    with lmdb.open(str(path), subdir=subdir, map_size=2**20) as env:
        with env.begin(write=True) as transaction:
            for key, content in members.items():
                transaction.put(key.encode(), content)
    return str(path)


LONG = 'x' * 150  # in a header of its own
SHARDS = [{f'{LONG}/a.png': _png(1), 'a.cls': b'3'},
          {'b.png': _png(2), 'c.json': b'{}', 'é.PNG': _png(3)}]


@pytest.mark.parametrize('prefix', ['s-{08..09}.tar', 's-*.tar', './s-*.tar'])
def test_shards(tmp_path, monkeypatch, prefix):
    monkeypatch.chdir(tmp_path)
    for i, members in enumerate(SHARDS):
        _write_tar(tmp_path / f's-{i + 8:02d}.tar', members)
    for root, img in (('', prefix), (str(tmp_path), prefix)):
        dataset = UnlabeledImageDataset(
            data_root=root, data_prefix=dict(img=img), pipeline=PIPELINE)
        samples = [dataset[i] for i in range(len(dataset))]
        assert [sample['img'][0, 0, 0] for sample in samples] == [1, 2, 3]
        assert [sample['img_name'] for sample in samples] == [
            f's-08.tar/{LONG}/a.png', 's-09.tar/b.png', 's-09.tar/é.PNG']
        assert samples[1]['img_path'].startswith('tar://')


def test_more_shards_than_files_may_be_open(tmp_path, monkeypatch):
    for i in range(520):
        _write_tar(tmp_path / f'{i}.tar', {'a.png': b'%d' % i})
    paths = _paths(read_images('', str(tmp_path / '*.tar')))
    # None of them is walked through again.
    monkeypatch.setattr(tar_index, 'read_headers', None)
    for path in paths[::100] + paths[::130]:
        name = path.rpartition('.tar')[0].rpartition('/')[2]
        assert fileio.get(path) == name.encode()


def test_one_tar_and_a_folder_in_it(tmp_path):
    path = _write_tar(tmp_path / 'a.tar', SHARDS[0])
    assert _paths(read_images('', f'{path}/{LONG}')) == [
        f'tar://{path}/{LONG}/a.png']
    assert len(read_images(path, '')) == 1
    (tmp_path / 'list.txt').write_text(f'{LONG}/a.png\n')
    listed = read_images(str(tmp_path / 'list.txt'), path)
    check_images_exist(listed, 'list.txt', 'all')


@pytest.mark.parametrize('subdir', [False, True])
def test_lmdb(tmp_path, subdir):
    path = _write_lmdb(tmp_path / 'a.lmdb', {
        '00': _png(1), 'b.png': _png(2), '__len__': b'2'}, subdir)
    dataset = UnlabeledImageDataset(data_root=path, pipeline=PIPELINE)
    loader = torch.utils.data.DataLoader(
        dataset, num_workers=2, multiprocessing_context='fork',
        collate_fn=lambda samples: samples[0])
    assert dataset[0]['img_path'] == f'lmdb://{path}/00'
    assert [sample['img'][0, 0, 0] for sample in loader] == [1, 2]
    with pytest.raises(FileNotFoundError, match=r"lmdb .* no member '01'"):
        open_archive(path).read('01')


def test_one_lmdb_by_two_names_and_replaced(tmp_path):
    path = _write_lmdb(tmp_path / 'a.lmdb', {'a': b'1'}, False)
    (tmp_path / 'b.lmdb').symlink_to('a.lmdb')
    former = open_archive(path)
    assert former.read('a') == b'1'
    assert open_archive(str(tmp_path / 'b.lmdb')).read('a') == b'1'
    os.replace(_write_lmdb(tmp_path / 'c.lmdb', {'b': b'2'}, False), path)
    assert open_archive(path).read('b') == b'2'
    with pytest.raises(ValueError, match='damaged'):
        former.read('a')


def test_a_tar_of_a_folder_and_its_links(tmp_path):
    (tmp_path / 'n').mkdir()
    (tmp_path / 'n' / 'a.png').write_bytes(_png(1))
    (tmp_path / 'n' / 'b.png').hardlink_to(tmp_path / 'n' / 'a.png')
    with tarfile.open(tmp_path / 'a.tar', 'w') as file:
        file.add(tmp_path / 'n', './n')
    (tmp_path / 'list.txt').write_text('./n/a.png\nn/b.png\n')
    path = str(tmp_path / 'a.tar')
    for ann_file in ('', str(tmp_path / 'list.txt')):
        dataset = UnlabeledImageDataset(
            ann_file, data_prefix=dict(img=path), pipeline=PIPELINE)
        assert [dataset[i]['img'][0, 0, 0] for i in (0, 1)] == [1, 1]
    names = [info['img_path'] for info in read_images('', f'{path}/n')]
    assert names == [f'tar://{path}/n/a.png', f'tar://{path}/n/b.png']


def test_shards_that_do_not_do(tmp_path):
    _write_tar(tmp_path / 's-1.tar', SHARDS[0])
    with pytest.raises(FileNotFoundError, match=r'1 of the 2 .*/s-2\.tar'):
        read_images('', str(tmp_path / 's-{1..2}.tar'))
    with pytest.raises(FileNotFoundError, match=r'No file matches .*t-\*'):
        read_images('', str(tmp_path / 't-*.tar'))
    path = _write_tar(tmp_path / 'z.tar', SHARDS[0], 'w:gz')
    with pytest.raises(ValueError, match=r'z\.tar.*that is not compressed'):
        read_images('', path)
    # Cut off, as by a full disk.
    content = (tmp_path / 's-1.tar').read_bytes()
    (tmp_path / 's-1.tar').write_bytes(content[:1600])
    with pytest.raises(ValueError, match=r's-1\.tar.*unexpected end'):
        read_images('', str(tmp_path / 's-1.tar'))
    # tarfile takes a damaged header, or a part of one, for the end.
    _write_tar(tmp_path / 's-1.tar', {'a.png': b'', 'b.png': b''})
    content = (tmp_path / 's-1.tar').read_bytes()
    for damaged in (content[:600] + b'x' + content[601:], content[:700]):
        (tmp_path / 's-1.tar').write_bytes(damaged)
        with pytest.raises(ValueError, match='no header at byte 512'):
            read_images('', str(tmp_path / 's-1.tar'))
