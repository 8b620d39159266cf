# Copyright (c) mmloc contributors. All rights reserved.
"""The own reader of headers against :mod:`tarfile`."""
import io
import os
import random
import tarfile

import pytest

from mmloc.datasets import tar_index
from mmloc.datasets.archive_index import UnusualArchiveError
from mmloc.datasets.tar_headers import read_headers
from mmloc.datasets.tar_index import TarIndex
from tests.reader_pairs import compare_readers

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = ['x' * 90 + '/' + 'y' * 60, 'l' * 100, 'é' * 50, 'z' * 300]


def _add(file, name, size=1, kind=tarfile.REGTYPE, link='', **fields):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    for field, value in fields.items():
        setattr(info, field, value)
    file.addfile(info, io.BytesIO(b'x' * size))


def _open(path, format=tarfile.PAX_FORMAT, **kwargs):
    return tarfile.open(path, 'w', format=format, encoding='utf-8', **kwargs)


def _listed(path):
    """Names and places, said by tarfile."""
    places = {}
    with tarfile.open(path, encoding='utf-8') as file:
        for member in file:
            name = member.name.removeprefix('./')
            target = member.linkname.removeprefix('./')
            if member.islnk() and target in places:
                places[name] = places[target]
            elif member.isreg():
                places[name] = [-1 if member.sparse else member.offset_data,
                                member.size]
    return {name.encode(errors='surrogateescape'): place
            for name, place in places.items()}


def _read(path):
    content = path.read_bytes()
    rows, places = read_headers(
        lambda size, offset: content[offset:offset + size], len(content))
    return {name: places[row].tolist() for name, row in rows.items()}


def _index(path):
    index = TarIndex(str(path))
    return dict(zip(index, index._places.tolist()))


@pytest.mark.parametrize('format', FORMATS)
def test_usual_tars(tmp_path, format):
    path = tmp_path / 'a.tar'
    with _open(path, format) as file:
        names = ['a.png', './n/b.png', 'a.png', './', 'd\n=.png', *LONG]
        if format == tarfile.USTAR_FORMAT:
            del names[-1]
        if format != tarfile.PAX_FORMAT:
            names.append('\udcff')
        for name in names:
            for size in (0, 511, 512, 513):
                _add(file, name, size)
            if format == tarfile.USTAR_FORMAT and len(name.encode(
                    errors='surrogateescape')) > 99:
                continue
            _add(file, f'l/{name}', 0, tarfile.LNKTYPE, name)
            _add(file, f's/{name}', 0, tarfile.SYMTYPE, name)
        for kind in (tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            _add(file, 'other', 0, kind)
        _add(file, 'before.png', 0, tarfile.LNKTYPE, 'later.png')
        _add(file, 'later.png', 3, tarfile.CONTTYPE)
        _add(file, 'old/', 0, tarfile.AREGTYPE)
        _add(file, 'old', 5, tarfile.AREGTYPE, uname='ü', mode=0o777)
        if format != tarfile.USTAR_FORMAT:  # binary, or in records
            _add(file, 'user', 5, uid=2**30, gid=2**30, mtime=-5)
        _add(file, 'time', 5, mtime=1.7e9 + .125)  # as WebDataset writes it
    places = _read(path)
    assert places == _listed(path) == _index(path)
    assert len(places) > 9
    assert b'before.png' not in places
    # Without the blocks of zeros at its end, and with more of them.
    content = path.read_bytes().rstrip(b'\0')
    content += bytes(-len(content) % 512)
    for end in (b'', bytes(512), bytes(5000)):
        path.write_bytes(content + end)
        assert _read(path) == places


def test_records_of_pax(tmp_path):
    path = tmp_path / 'a.tar'
    with _open(path) as file:
        for i, records in enumerate([
                dict(path='p/q/'), dict(path=''), dict(size='600'),
                dict(atime='1.5', ctime='-3', mtime='12345.678901234567'),
                dict(comment='x=y', **{'SCHILY.dev': '5'})]):
            _add(file, f'{i}.png', 600, pax_headers=records)
        _add(file, 'link', 0, tarfile.LNKTYPE,
             pax_headers=dict(linkpath='p/q'))
    assert _read(path) == _listed(path)
    assert _read(path)[b'link'] == _read(path)[b'p/q']
    assert _read(path)[b''][1] == 600


def _sparse(path):
    with _open(path, tarfile.GNU_FORMAT) as file:
        _add(file, 'a.png', 1024, tarfile.GNUTYPE_SPARSE)


def _with(*records, **kwargs):
    def make(path):
        with _open(path, **kwargs) as file:
            for i, record in enumerate(records):
                _add(file, f'{i}.png', 600, pax_headers=record)
    return make


def _over_8_gib(path):
    with _open(path, tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo('a.png'))
        info = tarfile.TarInfo('large')
        info.size = 2**33
        file.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 512 + 512 + 2**33)


def _blanks_before_numbers(path):
    with _open(path) as file:
        header = bytearray(tarfile.TarInfo('a.png').tobuf())
        header[100:108] = b'   644 \0'
        header[148:156] = b'        '
        header[148:156] = b'%06o\0 ' % sum(header)
        file.fileobj.write(header)


def _two_records_of_pax(path):
    with _open(path) as file:
        for name in ('b.png', 'c.png'):
            info = tarfile.TarInfo('a.png')
            info.pax_headers = dict(path=name)
            file.fileobj.write(info.tobuf(tarfile.PAX_FORMAT)[:1024])
        file.addfile(tarfile.TarInfo('a.png'))


def _record_behind_the_end(path):
    with _open(path) as file:
        info = tarfile.TarInfo('a.png')
        info.pax_headers = dict(atime='1')
        header = bytearray(info.tobuf(tarfile.PAX_FORMAT))
        assert header[512:].startswith(b'11 atime=1\n\0')
        header[512 + 11:512 + 29] = b'18 path=hidden.png'
        file.fileobj.write(header)


@pytest.mark.parametrize('make', [
    _sparse, _over_8_gib, _blanks_before_numbers, _two_records_of_pax,
    _record_behind_the_end,
    _with({}, pax_headers=dict(comment='for all')),
    _with(dict(hdrcharset='BINARY', path='é')), _with(dict(comment='1\n2')),
    _with({'GNU.sparse.map': '0,3', 'GNU.sparse.realsize': '7'}),
])
def test_unusual_tars_are_left_to_tarfile(tmp_path, make):
    path = tmp_path / 'a.tar'
    make(path)
    if path.stat().st_size < 2**20:
        with pytest.raises(UnusualArchiveError):
            _read(path)
    assert _index(path) == _listed(path) != {}


def _damaged(content, rng):
    """Content with bytes changed, taken away or cut off."""
    content = bytearray(content)
    if rng.random() < .3:
        return content[:rng.randrange(len(content))]
    if rng.random() < .1:
        start = rng.randrange(len(content))
        del content[start:start + rng.choice([1, 512])]
        return content
    for _ in range(rng.choice([1, 1, 5])):
        header = rng.randrange(len(content) // 512) * 512
        content[header + rng.choice([rng.randrange(512), 156, 124, 345])] = (
            rng.choice([rng.randrange(256), 0, 32, 45, 48, 49, 57, 120, 128]))
    if rng.random() < .7:  # otherwise few would pass for headers
        for start in range(0, len(content) - 511, 512):
            header = content[start:start + 512]
            if header[257:262] == b'ustar':
                total = sum(header) - sum(header[148:156]) + 256
                content[start + 148:start + 156] = b'%06o\0 ' % total
    return content


def _extended(*extensions):
    """A tar of one file, with such kinds of headers before it."""
    blocks = []
    for kind, data in extensions:
        info = tarfile.TarInfo('extension')
        info.type, info.size = kind, len(data)
        blocks += [info.tobuf(tarfile.USTAR_FORMAT), data,
                   bytes(-len(data) % 512)]
    return b''.join([*blocks, tarfile.TarInfo('a').tobuf(), bytes(1024)])


@pytest.mark.parametrize('extensions', [
    [(b'x', b'10 path=b\nx')], [(b'x', b'11 path=b\n')], [(b'x', b'path=b')],
    [(b'x', b'10 path=b')], [(b'x', b'11 size=-5\n')],
    [(b'x', b'11 atime=1\n0')], [(b'x', b'12 atime=1\n')],
    [(b'x', b'10 path=b\n'), (b'L', b'c\0')],
    [(b'L', b'c\0'), (b'x', b'10 path=b\n')],
    [(b'L', b'b\0'), (b'L', b'c\0')], [(b'K', b'b\0'), (b'K', b'c\0')],
    [(b'L', b'b' * 2**17)]
])
def test_unusual_extensions_are_left_to_tarfile(tmp_path, extensions):
    path = tmp_path / 'a.tar'
    for some in ([], [(b'x', b'10 path=b\n')], [(b'K', b'b'), (b'L', b'b')]):
        path.write_bytes(_extended(*some))
        assert [*_read(path)] == [b'b' if some else b'a']
    path.write_bytes(_extended(*extensions))
    with pytest.raises(UnusualArchiveError):
        _read(path)


@pytest.mark.parametrize('format', FORMATS[1:])
def test_headers_of_nothing(tmp_path, format):
    path = tmp_path / 'a.tar'
    with _open(path, format) as file:
        _add(file, LONG[-1])
    content = path.read_bytes()
    for end in (b'', bytes(1024)):
        path.write_bytes(content[:1024] + end)
        with pytest.raises(ValueError, match=r'a\.tar.*(empty|end of file) h'):
            TarIndex(str(path))


@pytest.mark.parametrize('format', FORMATS)
def test_damaged_tars(tmp_path, monkeypatch, format):
    """The same index as by tarfile, or an error from both."""
    rng = random.Random(0)
    path = tmp_path / 'a.tar'
    with _open(path, format) as file:
        for name in ('a.png', 'b' * 90 + '/c.png', './d.png'):
            _add(file, name, 700, mtime=.5)
            _add(file, 'to/' * 20 + name, 0, tarfile.LNKTYPE, name)
    whole = path.read_bytes().rstrip(b'\0') + bytes(1024)
    whole += bytes(-len(whole) % 512)
    damaged = (_damaged(whole, rng) for _ in range(300))
    results, own_results = compare_readers(
        monkeypatch, tar_index, 'read_headers', path, damaged, _index, _read)
    assert results.count(dict) > 50
    assert results.count(str) > 50
    assert own_results > 30


def test_a_tar_that_is_cut_off_while_it_is_read(tmp_path):
    path = tmp_path / 'a.tar'
    with _open(path) as file:
        for name in LONG:
            _add(file, name, 1000)
    content = path.read_bytes()
    last = max(place for place, _ in _read(path).values())
    for length in range(0, last, 50):
        part = content[:length]  # what there is by now
        with pytest.raises(UnusualArchiveError):
            read_headers(lambda size, offset, part=part: part[
                offset:offset + size], len(content))


def test_a_size_that_leads_back(tmp_path):
    """tarfile would go in circles."""
    path = tmp_path / 'a.tar'
    with _open(path) as file:
        header = bytearray(tarfile.TarInfo('a.png').tobuf())
        header[124:136] = b'\xff' * 10 + b'\xfe\x00'  # -512
        header[148:156] = b'        '
        header[148:156] = b'%06o\0 ' % sum(header)
        file.fileobj.write(header)
    with pytest.raises(ValueError, match=r'a\.tar.*wrong size at byte 0'):
        TarIndex(str(path))


def test_places_outside_of_the_file(tmp_path):
    path = tmp_path / 'a.tar'
    with _open(path) as file:
        _add(file, 'a.png', 10)
    index = TarIndex(str(path))
    assert index.read('a.png') == b'x' * 10
    index._places = index._places.copy()
    for place in ([2**62, 2**62], [0, 2**62], [10**9, 10]):
        index._places[0] = place
        with pytest.raises(ValueError, match=r'a\.png.* is damaged'):
            index.read('a.png')
