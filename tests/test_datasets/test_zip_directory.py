# Copyright (c) mmloc contributors. All rights reserved.
"""The own reader of directories against :mod:`zipfile`."""
import random
import struct
import zipfile

import pytest

from mmloc.datasets import zip_index
from mmloc.datasets.archive_index import UnusualArchiveError
from mmloc.datasets.zip_directory import read_directory
from mmloc.datasets.zip_index import ZipIndex
from tests.reader_pairs import compare_readers

NAMES = ['a.png', 'n/', 'n/b.png', 'é.png', '日本/c.png', './d', 'x' * 999]
#: As Info-ZIP writes it: times, and the user.
EXTRA = b'UT\5\0\3abcdux\4\0\1\0\0\0'


def _pack(path, names=NAMES, comment=b'', method=zipfile.ZIP_DEFLATED,
          extra=EXTRA):
    with zipfile.ZipFile(path, 'w', method) as file:
        for i, name in enumerate(names):
            info = zipfile.ZipInfo(name)
            info.compress_type, info.extra = method, extra
            file.writestr(info, name.encode() * i)
        file.comment = comment
    return path.read_bytes()


def _listed(path):
    """Names and places, said by zipfile."""
    with zipfile.ZipFile(path) as file:
        return {
            m.filename.encode(): [m.header_offset, m.compress_size, m.CRC,
                                  m.compress_type, m.flag_bits]
            for m in file.infolist() if not m.filename.endswith('/')
        }


def _read(path):
    content = path.read_bytes()
    rows, places = read_directory(
        lambda size, offset: content[offset:offset + size], len(content))
    return {name: places[row].tolist() for name, row in rows.items()}


def _index(path):
    index = ZipIndex(str(path))
    return dict(zip(index, index._places.tolist()))


def _without_utf_8(content):
    """Names are those of DOS then."""
    for signature, at in ((b'PK\1\2', 8), (b'PK\3\4', 6)):
        start = content.find(signature)
        while start >= 0:
            content = bytearray(content)
            content[start + at + 1] &= ~8
            start = content.find(signature, start + 1)
    return content


def _with_end_64(content, shift=0, disks=1):
    """With the ends that zips of more than 4 GiB or 65,535 members have."""
    end = content.rindex(b'PK\5\6')
    size, offset = struct.unpack_from('<LL', content, end + 12)
    start = len(content[:end]) - size - offset
    return content[:end] + struct.pack(
        '<4sQ2H2L4Q', b'PK\6\6', 44, 45, 45, 0, 0, 1, 1, size, offset
    ) + struct.pack('<4sLQL', b'PK\6\7', 0, end - start + shift, disks
                    ) + content[end:]


def _with_extra_64(content, offset=2**33, cut=0, times=1):
    """The first member lies where 32 bits do not reach."""
    content = bytearray(content)
    entry, end = content.index(b'PK\1\2'), content.rindex(b'PK\5\6')
    length, = struct.unpack_from('<H', content, entry + 28)
    numbers = struct.pack('<QQQ', 7, 5, offset)
    extra = struct.pack('<HH', 1, 24 - cut) + numbers[:24 - cut]
    extra *= times
    content[entry + 20:entry + 28] = content[entry + 42:entry + 46] * 2
    content[entry + 20:entry + 28] = b'\xff' * 8
    content[entry + 42:entry + 46] = b'\xff' * 4
    content[entry + 30:entry + 32] = struct.pack('<H', len(extra) + len(EXTRA))
    size, = struct.unpack_from('<L', content, end + 12)
    content[end + 12:end + 16] = struct.pack('<L', size + len(extra))
    content[entry + 46 + length:entry + 46 + length] = extra
    return bytes(content)


@pytest.mark.parametrize('change', [
    bytes, _without_utf_8, _with_end_64, _with_extra_64,
    lambda content: b'stub' * 9 + content,
    lambda content: b'stub' * 9 + _with_end_64(content),
])
@pytest.mark.parametrize('comment', [b'', b'PK\1', bytes(65535)])
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_usual_zips(tmp_path, change, comment):
    path = tmp_path / 'a.zip'
    path.write_bytes(change(_pack(path, [*NAMES, 'a.png'], comment)))
    places = _read(path)
    assert places == _listed(path) == _index(path)
    assert len(places) == len(NAMES) - 1


def test_an_empty_zip(tmp_path):
    path = tmp_path / 'a.zip'
    _pack(path, [])
    assert _read(path) == _listed(path) == {}


def test_numbers_of_64_bits(tmp_path):
    path = tmp_path / 'a.zip'
    path.write_bytes(_with_extra_64(_pack(path)))
    assert _read(path)[b'a.png'][:2] == [2**33, 5]


@pytest.mark.parametrize('change', [
    lambda content: _with_end_64(content, shift=1),
    lambda content: _with_end_64(content, disks=2),
    lambda content: _with_extra_64(content, cut=3),
    lambda content: _with_extra_64(content, times=2),
    lambda content: _with_extra_64(content, offset=2**63),
    lambda content: content.replace('é'.encode(), b'\xff\xfe'),
    lambda content: content.replace(b'n/b.png', b'n/b\0png'),
    lambda content: content.replace(b'UT', b'up'),  # another name
    lambda content: content.replace(b'UT\5', b'UT\x7f'),
    lambda content: content[:-1], lambda content: b'', lambda content: b'PK',
])
def test_unusual_zips_are_left_to_zipfile(tmp_path, change):
    path = tmp_path / 'a.zip'
    content = _pack(path)
    path.write_bytes(change(content))
    assert path.read_bytes() != content
    with pytest.raises(UnusualArchiveError):
        _read(path)
    try:
        listed = _listed(path)
    except (zipfile.BadZipFile, UnicodeError, struct.error):
        listed = None
    if listed is None or max(listed.values())[0] >= 2**63:
        with pytest.raises(ValueError, match=r'a\.zip.*cannot be read as a'):
            _index(path)
    else:
        assert _index(path) == listed


def _damaged(content, rng):
    """Content with bytes changed, taken away or cut off."""
    content = bytearray(content)
    if rng.random() < .1:
        return content[:rng.randrange(len(content))]
    start = content.index(b'PK\1\2')
    if rng.random() < .1:
        del content[rng.randrange(start, len(content))]
        return content
    for _ in range(rng.choice([1, 1, 3])):
        place = rng.randrange(start, len(content))
        content[place] = rng.choice([
            rng.randrange(256), 0, 255, content[place] ^ 1])
    return content


@pytest.mark.parametrize('change', [bytes, _with_end_64, _with_extra_64])
def test_damaged_zips(tmp_path, monkeypatch, change):
    """The same index as by zipfile, or an error from both."""
    rng = random.Random(0)
    path = tmp_path / 'a.zip'
    whole = change(_pack(path, ['a.png', 'é.png', 'n/'], b'comment'))
    damaged = (_damaged(whole, rng) for _ in range(500))
    results, own_results = compare_readers(
        monkeypatch, zip_index, 'read_directory', path, damaged, _index, _read)
    assert results.count(dict) > 50
    assert results.count(str) > 50
    assert own_results > 50


def test_a_zip_that_is_cut_off_while_it_is_read(tmp_path):
    path = tmp_path / 'a.zip'
    content = _with_end_64(_pack(path))
    for length in range(len(content) - 1):
        part = content[:length]  # what there is by now
        with pytest.raises(UnusualArchiveError):
            read_directory(lambda size, offset, part=part: part[
                offset:offset + size], len(content))


def test_a_directory_that_is_cut_off_after_its_end_was_found(tmp_path):
    content = _pack(tmp_path / 'a.zip', extra=b'')
    start = content.index(b'PK\1\2')
    # Cut in the last name, behind all headers.
    with pytest.raises(UnusualArchiveError):
        read_directory(lambda size, offset: content[
            offset:offset + size - (offset == start)], len(content))


def test_places_outside_of_the_file(tmp_path):
    path = tmp_path / 'a.zip'
    _pack(path)
    index = ZipIndex(str(path))
    assert index.read('n/b.png') == b'n/b.png' * 2
    row = index.find('n/b.png')
    index._places = index._places.copy()
    for place in ([2**62, 2**62], [0, 2**62], [-9, 9], [10**9, 10]):
        index._places[row, :2] = place
        with pytest.raises(ValueError, match=r'n/b\.png.* is damaged'):
            index.read('n/b.png')
