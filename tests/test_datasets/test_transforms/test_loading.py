# Copyright (c) mmloc contributors. All rights reserved.
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmloc.datasets import UnlabeledImageDataset
from mmloc.datasets.transforms import LoadImage, UnreadableImageError


@pytest.mark.parametrize('options', [
    dict(progressive=True),
    dict(exif=b'Exif\0\0' + bytes(100)),
    dict(comment='a' * 300),
    dict(padded=True),
])
def test_size_of_any_jpeg(tmp_path, options):
    path = tmp_path / 'a.jpg'
    padded = options.pop('padded', False)
    Image.new('RGB', (36, 24)).save(path, **options)
    if padded:
        # A marker may have any number of bytes 255 before it.
        data = path.read_bytes()
        path.write_bytes(data[:2] + b'\xff' + data[2:])
    with pytest.raises(UnreadableImageError, match='36 x 24 pixels'):
        _load(path, max_pixels=36 * 24 - 1)
    assert _load(path, max_pixels=36 * 24)['img_shape'] == (24, 36)


@pytest.fixture
def picture():
    """An RGB image (24, 36, 3), smooth enough for JPEG to keep it."""
    coarse = np.random.RandomState(0).randint(0, 255, (3, 4, 3), np.uint8)
    return cv2.resize(coarse, (36, 24), interpolation=cv2.INTER_CUBIC)


def _load(path, **kwargs):
    return LoadImage(**kwargs)(dict(img_path=str(path)))


@pytest.mark.parametrize(('mode', 'name'), [
    ('RGB', 'a.jpg'),
    ('RGB', 'a.png'),
    ('RGB', 'a.webp'),
    ('RGBA', 'a.png'),
    ('P', 'a.png'),
    ('CMYK', 'a.jpg'),
])
def test_kinds_of_images(tmp_path, picture, mode, name):
    Image.fromarray(picture).convert(mode).save(tmp_path / name)
    results = _load(tmp_path / name)
    assert results['img'].dtype == np.uint8
    assert results['img_shape'] == results['ori_shape'] == (24, 36)
    # A palette of 216 dithered colours is the coarsest here.
    error = np.abs(results['img'][..., ::-1].astype(int) - picture)
    assert error.mean() < 20


@pytest.mark.parametrize('bits', [8, 16])
def test_gray_becomes_bgr(tmp_path, picture, bits):
    gray = picture[..., 0]
    stored = gray if bits == 8 else gray.astype(np.uint16) * 256
    cv2.imwrite(str(tmp_path / 'a.png'), stored)
    img = _load(tmp_path / 'a.png')['img']
    assert img.dtype == np.uint8
    assert img.shape == (24, 36, 3)
    assert (img == gray[..., None]).all()


def test_exif_orientation_is_applied(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(picture).save(tmp_path / 'a.png', exif=exif)
    upright = _load(tmp_path / 'a.png')
    assert upright['img_shape'] == (36, 24)
    assert (upright['img'][..., ::-1] == np.rot90(picture, -1)).all()
    stored = _load(
        tmp_path / 'a.png', color_type='color_ignore_orientation')
    assert stored['img_shape'] == (24, 36)


def test_unreadable_files(tmp_path, picture):
    jpg = cv2.imencode('.jpg', picture)[1].tobytes()
    png = cv2.imencode('.png', picture)[1].tobytes()
    contents = {
        'empty.jpg': (b'', r'is empty \(0 bytes\)'),
        'text.jpg': (b'not an image', 'is damaged, truncated or not'),
        'cut.jpg': (jpg[:len(jpg) // 2], 'is damaged, truncated or not'),
        'cut.png': (png[:len(png) // 2], 'is damaged, truncated or not'),
    }
    for name, (content, why) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableImageError, match=f'{name}.*{why}'):
            _load(tmp_path / name)
    with pytest.raises(UnreadableImageError, match=r'b.jpg.*does not exist'):
        _load(tmp_path / 'b.jpg')


def _bomb(width, height):
    """A small PNG whose header says that it has many pixels."""
    def chunk(kind, data):
        return (struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data)))

    header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(bytes(1000)))
            + chunk(b'IEND', b''))


def test_too_many_pixels_are_not_decoded(tmp_path, picture, recwarn):
    path = tmp_path / 'bomb.png'
    path.write_bytes(_bomb(40000, 40000))
    with pytest.raises(UnreadableImageError, match='40000 x 40000') as error:
        _load(path)
    assert error.value.reason == (
        'has 40000 x 40000 pixels, more than the 268435456 that max_pixels '
        'of LoadImage allows')
    # Between the limits at which Pillow warns and refuses.
    path.write_bytes(_bomb(12000, 12000))
    with pytest.raises(UnreadableImageError, match=r'has 12000 x 12000'):
        _load(path, max_pixels=10**8)
    assert not recwarn
    cv2.imwrite(str(path), picture)
    assert _load(path, max_pixels=24 * 36)['img'].shape == (24, 36, 3)
    with pytest.raises(UnreadableImageError, match='has 36 x 24 pixels'):
        _load(path, max_pixels=24 * 36 - 1)


def test_opencv_decodes_what_pillow_does_not_know(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.pam'), np.full((4, 6, 3), 7, np.uint8))
    with pytest.raises(OSError, match='cannot identify'):
        Image.open(tmp_path / 'a.pam')
    assert (_load(tmp_path / 'a.pam')['img'] == 7).all()


@pytest.mark.parametrize('kind', ['folder', 'pipe', 'long'])
def test_what_is_not_even_opened(tmp_path, kind):
    path = tmp_path / 'a.jpg'
    if kind == 'folder':
        path.mkdir()
    elif kind == 'pipe':
        os.mkfifo(path)  # reading it would wait for a writer
    else:
        with path.open('wb') as file:
            file.truncate(8 * 10**6 + 1)
    why = 'not a regular' if kind != 'long' else 'has 8000001 bytes, more'
    with pytest.raises(UnreadableImageError, match=why):
        _load(path, max_pixels=10**6)


def test_options_of_mmcv(tmp_path, picture):
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    floats = _load(tmp_path / 'a.png', to_float32=True)
    assert floats['img'].dtype == np.float32
    assert _load(tmp_path / 'b.png', ignore_empty=True) is None
    assert 'max_pixels=5' in repr(LoadImage(max_pixels=5))
    for kwargs in (dict(max_pixels=0), dict(file_client_args=dict())):
        with pytest.raises(ValueError, match='expected'):
            LoadImage(**kwargs)


def test_error_passes_through_a_worker(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'')
    dataset = UnlabeledImageDataset(
        data_root=str(tmp_path), pipeline=[LoadImage()])
    loader = torch.utils.data.DataLoader(dataset, num_workers=1)
    with pytest.raises(UnreadableImageError, match=r'a.jpg'):
        next(iter(loader))
