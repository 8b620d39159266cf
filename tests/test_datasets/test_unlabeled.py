# Copyright (c) mmloc contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

from mmloc.datasets import (
    MixImagesDataset,
    UnlabeledImageDataset,
    UnreadableImageError,
)

PIPELINE = [dict(type='mmloc.LoadImage')]


def _write(folder, *names):
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((4, 6, 3), i, np.uint8))


def test_items(tmp_path):
    _write(tmp_path / 'train', 'b.png', 'a.png')
    # Built as from a config whose default scope is not ours.
    dataset = DATASETS.build(
        dict(
            type='mmloc.UnlabeledImageDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img='train/'),
            serialize_data=True,
            pipeline=PIPELINE))
    assert isinstance(dataset, UnlabeledImageDataset)
    item = dataset[1]
    assert item['img_path'] == str(tmp_path / 'train' / 'b.png')
    assert item['img_id'] == 1
    assert item['img'].shape == (4, 6, 3)


def test_sources_agree(tmp_path):
    names = ['a.png', 'b.png', 'c.png']
    _write(tmp_path / 'train', *names)
    (tmp_path / 'list.txt').write_text('\n'.join(f'{n} 3' for n in names))
    images = [dict(id=i, file_name=n) for i, n in enumerate(names)]
    (tmp_path / 'a.json').write_text(json.dumps(dict(images=images)))
    for key in ('img', 'img_path'):
        infos = [[
            UnlabeledImageDataset(
                ann_file=ann_file,
                data_root=str(tmp_path),
                data_prefix={key: 'train'}).get_data_info(i) for i in range(3)
        ] for ann_file in ('', 'list.txt', 'a.json')]
        assert infos[0] == infos[1] == infos[2]
        assert [info['img_name'] for info in infos[0]] == names


@pytest.mark.parametrize(('root', 'prefix'), [
    ('{}', 'train'), ('{}', 'train/'), ('{}/', '{}/train'), ('', '{}/train')])
def test_names_are_relative(tmp_path, root, prefix):
    _write(tmp_path / 'train', 'a.png')
    _write(tmp_path / 'train' / 'sub', 'b.png')
    elsewhere = str(tmp_path / 'c.png')
    (tmp_path / 'list.txt').write_text(f'a.png\nsub/b.png\n{elsewhere} 1\n')
    root, prefix = root.format(tmp_path), prefix.format(tmp_path)
    folder = UnlabeledImageDataset('', root, dict(img=prefix))
    listed = UnlabeledImageDataset(
        str(tmp_path / 'list.txt'), root, dict(img=prefix),
        check_exists='none')
    names = [listed.get_data_info(i)['img_name'] for i in range(3)]
    assert names == ['a.png', 'sub/b.png', elsewhere]
    assert [folder.get_data_info(i)['img_name'] for i in (0, 1)] == names[:2]


def test_listed_files_must_exist(tmp_path):
    _write(tmp_path, 'a.png')
    (tmp_path / 'list.txt').write_text('a.png\nb.png\n')
    kwargs = dict(ann_file='list.txt', data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r'b.png'):
        UnlabeledImageDataset(**kwargs)
    assert len(UnlabeledImageDataset(check_exists='none', **kwargs)) == 2


@pytest.mark.parametrize(('kwargs', 'match'), [
    (dict(), 'Neither ann_file nor a folder'),
    (dict(data_prefix=dict(image='x')), 'data_prefix is'),
    (dict(data_root='x', on_corrupt='ignore'), 'on_corrupt is'),
    (dict(data_root='x', max_corrupt=1.5), 'max_corrupt is 1.5'),
    (dict(data_root='x', max_corrupt=-1), 'max_corrupt is -1'),
    (dict(data_root='x', max_corrupt=True), 'max_corrupt is True'),
])
def test_wrong_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        UnlabeledImageDataset(**kwargs)


def test_corrupt_images(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('mmloc.datasets.unlabeled.print_log',
                        lambda text, **_: lines.append(text))
    _write(tmp_path, 'a.png', 'c.png')
    (tmp_path / 'b.png').write_bytes(b'')
    kwargs = dict(data_root=str(tmp_path), pipeline=PIPELINE)
    with pytest.raises(UnreadableImageError, match=r'b.png'):
        UnlabeledImageDataset(**kwargs)[1]

    dataset = UnlabeledImageDataset(on_corrupt='skip', **kwargs)
    np.random.seed(0)
    drawn = {dataset[1]['img_id'] for _ in range(20)}
    assert drawn == {0, 2}
    assert dataset.unreadable.reasons == {
        str(tmp_path / 'b.png'): 'is empty (0 bytes)'
    }
    assert len(lines) == 1
    assert 'b.png' in lines[0]


@pytest.mark.parametrize(('max_corrupt', 'limit'), [
    (0, 0), (2, 2), (0.0, 0), (0.34, 4), (1.0, 10)])
def test_too_many_corrupt_images(tmp_path, max_corrupt, limit):
    for i in range(10):
        _write(tmp_path, f'{i}.png')
        if i < 6:
            (tmp_path / f'{i}.png').write_bytes(b'nothing')
    dataset = UnlabeledImageDataset(
        data_root=str(tmp_path), pipeline=PIPELINE, on_corrupt='skip',
        max_corrupt=max_corrupt)
    for i in range(min(limit, 6)):
        assert dataset.prepare_data(i) is None
        assert dataset.prepare_data(i) is None  # counts once
    if limit < 6:
        with pytest.raises(RuntimeError, match=(
                rf"{limit + 1} of the 10 images could not be read, expected "
                rf"{limit} at most .*/{limit}.png', which is damaged")):
            dataset.prepare_data(limit)


def test_news_of_corrupt_images_come_with_samples(tmp_path):
    _write(tmp_path, '0.png', '1.png')
    (tmp_path / '1.png').write_bytes(b'')
    kwargs = dict(data_root=str(tmp_path), on_corrupt='skip')
    news = [(str(tmp_path / '1.png'), 'is empty (0 bytes)')]

    def unreadable(dataset, idx):
        return dataset[idx]['data_samples'].get('unreadable')

    pack = dict(type='mmloc.PackRegionInputs')
    dataset = UnlabeledImageDataset(pipeline=[*PIPELINE, pack], **kwargs)
    # Once, in a sample that takes its place.
    assert [unreadable(dataset, i) for i in (0, 1, 1)] == [None, news, None]
    # Inner datasets do not pack; the samples made of theirs bring the news.
    mixed = MixImagesDataset(
        UnlabeledImageDataset(pipeline=PIPELINE, **kwargs), [pack])
    found = [unreadable(mixed, i) for i in (1, 1)]
    assert found == [news, None]


def test_all_corrupt(tmp_path):
    for name in ('a.png', 'b.png'):
        (tmp_path / name).write_bytes(b'nothing')
    dataset = UnlabeledImageDataset(
        data_root=str(tmp_path), pipeline=PIPELINE, on_corrupt='skip',
        max_corrupt=1.0)
    with pytest.raises(RuntimeError, match='None of the 2 images'):
        dataset[0]
