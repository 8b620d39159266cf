# Copyright (c) mmloc contributors. All rights reserved.
import functools
import http.server
import json
import os
import os.path as osp
import threading

import cv2
import numpy as np
import pytest
from mmengine import fileio

from mmloc.datasets import UnlabeledImageDataset
from mmloc.datasets.image_checks import check_images_exist
from mmloc.datasets.image_sources import read_images


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')


def _names(infos, folder):
    return [osp.relpath(info['img_path'], folder) for info in infos]


def test_folder_tree(tmp_path):
    _touch(tmp_path, 'b/2.JPG', 'b/1.png', 'a.jpeg', 'notes.txt', '._a.jpg',
           '.cache/c.jpg', 'b/c/d.Tif')
    infos = read_images('', str(tmp_path))
    assert _names(infos, tmp_path) == ['a.jpeg', 'b/1.png', 'b/2.JPG',
                                       'b/c/d.Tif']  # yapf: disable


def test_folder_follows_links_once(tmp_path):
    _touch(tmp_path, 'real/a.jpg')
    os.symlink(tmp_path / 'real', tmp_path / 'real' / 'loop')
    assert len(read_images('', str(tmp_path))) == 1


def test_txt_list(tmp_path):
    lines = [
        '', 'a.jpg  ', 'my dog 2.JPEG 17', 'sub/b.png\tcat', '/abs/c.jpg 3',
        '   ', 'n01/n01_10026 1', 'two words.jpg'
    ]
    ann = tmp_path / 'list.txt'
    # A byte order mark and CRLF, as editors on Windows write.
    ann.write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(lines).encode())
    paths = [info['img_path'] for info in read_images(str(ann), 'root')]
    assert paths == [
        'root/a.jpg', 'root/my dog 2.JPEG', 'root/sub/b.png', '/abs/c.jpg',
        'root/n01/n01_10026', 'root/two words.jpg'
    ]


def test_a_list_in_another_encoding(tmp_path):
    ann = tmp_path / 'list.txt'
    ann.write_bytes('é.jpg'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'list.txt.* is no UTF-8 text'):
        read_images(str(ann), 'root')


def test_coco(tmp_path):
    images = [
        dict(id=7, file_name='x/1.jpg', height=4, width=6),
        dict(id=9, file_name='2.jpg')
    ]
    ann = tmp_path / 'a.json'
    ann.write_text(json.dumps(dict(images=images, annotations=[{}])))
    assert list(read_images(str(ann), 'root')) == [
        dict(img_path='root/x/1.jpg', img_id=0, height=4, width=6),
        dict(img_path='root/2.jpg', img_id=1)
    ]


@pytest.mark.parametrize('content', [
    'no json', '[]', '{}', '{"images": 3}', '{"images": ["a.jpg"]}',
    '{"images": [{"id": 1}]}', '{"images": null}'
])
def test_not_coco(tmp_path, content):
    ann = tmp_path / 'a.json'
    ann.write_text(content)
    with pytest.raises(ValueError, match='is not a COCO json'):
        read_images(str(ann), '')


def test_empty_sources(tmp_path):
    _touch(tmp_path, 'notes.md')
    with pytest.raises(ValueError, match=r'Found 0 images .* \.jpg \.jpeg'):
        read_images('', str(tmp_path))
    (tmp_path / 'a.txt').write_text('\n \n')
    with pytest.raises(ValueError, match='names 0 images'):
        read_images(str(tmp_path / 'a.txt'), '')
    (tmp_path / 'a.json').write_text('{"images": []}')
    with pytest.raises(ValueError, match='lists 0 images'):
        read_images(str(tmp_path / 'a.json'), '')


def test_missing_sources_say_what_is_there(tmp_path):
    _touch(tmp_path, 'train2017/a.jpg')
    with pytest.raises(FileNotFoundError, match='holds train2017; check'):
        read_images('', str(tmp_path / 'train'))
    with pytest.raises(FileNotFoundError, match=r'image list .* not exist'):
        read_images(str(tmp_path / 'a.txt'), '')
    with pytest.raises(FileNotFoundError, match='is no folder'):
        read_images('', str(tmp_path / 'train2017' / 'a.jpg'))


def test_wrong_kind_of_ann_file(tmp_path):
    with pytest.raises(ValueError, match='is a folder'):
        read_images(str(tmp_path), '')
    with pytest.raises(ValueError, match=r"ends in '.csv'"):
        read_images(str(tmp_path / 'a.csv'), '')
    # Members are read at their places, of a file on a disk.
    with pytest.raises(ValueError, match='or on a disk a'):
        read_images('http://localhost/a.tar', '')


def test_check_exists(tmp_path):
    _touch(tmp_path, *(f'{i}.jpg' for i in range(999)))
    infos = [dict(img_path=str(tmp_path / f'{i}.jpg')) for i in range(999)]
    check_images_exist(infos, 'a.txt', 'all')
    # One missing file in the middle escapes the sample, not the full check.
    os.remove(tmp_path / '503.jpg')
    check_images_exist(infos, 'a.txt', 'sample')
    with pytest.raises(FileNotFoundError, match=r'1 of the 999 .*503.jpg'):
        check_images_exist(infos, 'a.txt', 'all')
    # The last file is always looked at; a wrong prefix is always found.
    os.remove(tmp_path / '998.jpg')
    with pytest.raises(FileNotFoundError, match=r'1 of the 64 .*998.jpg'):
        check_images_exist(infos, 'a.txt', 'sample')
    check_images_exist(infos, 'a.txt', 'none')
    with pytest.raises(ValueError, match='check_exists'):
        check_images_exist(infos, 'a.txt', 'some')


@pytest.fixture
def server(tmp_path):
    """A web server of the test's folder: a remote storage."""
    handler = functools.partial(
        type('Quiet', (http.server.SimpleHTTPRequestHandler, ),
             dict(log_message=lambda *_: None)), directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


def test_a_list_of_remote_images(tmp_path, server):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 6, 3), 7, np.uint8))
    (tmp_path / 'list.txt').write_text('a.png\n')
    dataset = UnlabeledImageDataset(
        ann_file=str(tmp_path / 'list.txt'), data_prefix=dict(img=server),
        pipeline=[dict(type='mmloc.LoadImage')], check_exists='none')
    assert dataset[0]['img_path'] == f'{server}/a.png'
    assert dataset[0]['img_name'] == 'a.png'
    assert (dataset[0]['img'] == 7).all()


class _PrefixedBackend(fileio.LocalBackend):
    """A storage whose paths begin with mem://, as s3:// does."""

    root = ''

    def __getattribute__(self, name):
        method = super().__getattribute__(name)
        if name not in ('get', 'get_text', 'isfile', 'exists',
                        'list_dir_or_file'):
            return method
        return lambda path, *args, **kwargs: method(
            path.replace('mem://', self.root + '/'), *args, **kwargs)


def test_a_remote_folder_and_list(tmp_path):
    fileio.register_backend('test_mem', _PrefixedBackend, prefixes='mem',
                            force=True)
    _PrefixedBackend.root = str(tmp_path)
    _touch(tmp_path, 'x/b.JPG', 'x/a/1.png', 'x/notes.txt', 'x/.a.png')
    (tmp_path / 'list.txt').write_text('a/1.png\n')
    paths = [info['img_path'] for info in read_images('', 'mem://x')]
    assert paths == ['mem://x/a/1.png', 'mem://x/b.JPG']
    listed = read_images('mem://list.txt', 'mem://x')
    check_images_exist(listed, 'list.txt', 'all')
    assert listed[0]['img_path'] == paths[0]
    with pytest.raises(FileNotFoundError, match=r"mem://no.txt' does not"):
        read_images('mem://no.txt', '')
