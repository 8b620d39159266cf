# Copyright (c) mmloc contributors. All rights reserved.
import gc
import os
import pickle
import re
import struct

import numpy as np
import pytest

from mmloc.proposals import file_layout, proposal_file, proposal_writer
from mmloc.proposals.file_layout import Proposals
from mmloc.proposals.proposal_file import ProposalFile
from mmloc.proposals.proposal_writer import write_proposals

PARAMS = dict(scale=300.0, rule='none')


def _records(num=50, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(num):
        corners = np.sort(rng.random((i % 4, 2, 2)) * (400, 300), axis=1)
        yield Proposals(f'class {i % 3}/img_{i}.JPEG', 400, 300,
                        corners.reshape(-1, 4).astype(np.float32))


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / 'a.mmprop')
    write_proposals(path, _records(), PARAMS)
    return path


def _same(a, b):
    return a[:3] == b[:3] and np.array_equal(a.boxes, b.boxes)


def test_what_is_written_is_read(path):
    file, records = ProposalFile(path), list(_records())
    assert len(file) == len(records) == 50
    assert file.params == PARAMS
    assert file.num_boxes == sum(len(r.boxes) for r in records)
    assert list(file.names) == [r.name for r in records]
    assert file.names[-2:] == [r.name for r in records[-2:]]
    for i, record in enumerate(records):
        assert _same(file[i], record)
        assert _same(file[i - 50], record)
        assert _same(file.get(record.name), record)
        assert record.name in file
    boxes = file[3].boxes
    assert boxes.dtype == np.float32
    boxes[:] = 0  # the record's own memory
    assert _same(file[3], records[3])


def test_the_layout_is_the_documented_one(path):
    """Read box 3 with struct alone, as the documentation describes it."""
    raw = open(path, 'rb').read()
    assert raw[:8] == b'\x89MMPROP\n'
    version, _, size, n, _ = struct.unpack_from('<IIQQQ', raw, 8)
    assert (version, size, n) == (1, len(raw), 50)
    offsets = struct.unpack_from('<16Q', raw, 40)[::2]
    assert all(offset % 64 == 0 for offset in offsets)
    first = struct.unpack_from('<51Q', raw, offsets[2])[3]
    box = struct.unpack_from('<4f', raw, offsets[1] + 16 * first)
    assert box == tuple(list(_records())[3].boxes[0].tolist())
    assert struct.unpack_from('<2I', raw, offsets[3]) == (400, 300)


def test_missing_images(path):
    file = ProposalFile(path)
    for index in (50, -51):
        with pytest.raises(IndexError, match=f'{index} is out of .* 50 im'):
            file[index]
    assert 'img_0.JPEG' not in file
    with pytest.raises(KeyError, match=r"not among the 50.*'class 0/img_0"):
        file.get('img_0.JPEG')


def test_a_place_is_no_more_than_a_hint(path):
    file, records = ProposalFile(path), list(_records())
    for place in (None, 7, 8, 50, -1):
        assert _same(file.get(records[7].name, place), records[7])
        with pytest.raises(KeyError, match='not among the 50'):
            file.get('class 9/img_7.JPEG', place)


def test_names_are_any_file_names(tmp_path):
    names = ['ä/猫.jpg', 'a b\tc.jpg', os.fsdecode(b'caf\xe9.jpg')]
    path = str(tmp_path / 'a.mmprop')
    write_proposals(
        path, ((name, 5, 4, np.zeros((0, 4))) for name in names), {})
    file = ProposalFile(path)
    assert list(file.names) == names
    assert [file.get(name).name for name in names] == names
    assert file[0].boxes.shape == (0, 4)


def test_names_with_equal_hashes(tmp_path, monkeypatch):
    for module in (proposal_writer, proposal_file):
        monkeypatch.setattr(module, 'hash_name', lambda raw: len(raw))
    path, records = str(tmp_path / 'a.mmprop'), list(_records())
    write_proposals(path, records, {})
    file = ProposalFile(path)
    assert all(_same(file.get(r.name), r) for r in records)
    assert 'class 9/img_9.JPEG' not in file
    with pytest.raises(ValueError, match=r"two .* the name 'class 1/img_1.J"):
        write_proposals(str(tmp_path / 'b'), [*records, records[1]], {})


def test_no_images(tmp_path):
    path = str(tmp_path / 'a.mmprop')
    assert write_proposals(path, [], {}) == 0
    file = ProposalFile(path)
    assert (len(file), file.num_boxes, list(file.names)) == (0, 0, [])
    with pytest.raises(KeyError, match='nothing'):
        file.get('a')


def test_bytes_depend_on_the_content_alone(tmp_path, path):
    again = tmp_path / 'b.mmprop'
    reordered = dict(reversed(PARAMS.items()))
    write_proposals(again, map(tuple, _records()), reordered)
    assert again.read_bytes() == open(path, 'rb').read()


def test_files_are_not_overwritten_unasked(path):
    before = open(path, 'rb').read()
    with pytest.raises(ValueError, match='is there already'):
        write_proposals(path, _records(3), {})
    assert open(path, 'rb').read() == before
    write_proposals(path, _records(3), {}, overwrite=True)
    assert len(ProposalFile(path)) == 3
    assert os.listdir(os.path.dirname(path)) == ['a.mmprop']


def test_an_error_leaves_nothing(tmp_path, path):
    def broken():
        yield from _records(3)
        raise OSError('the disk is gone')

    before = open(path, 'rb').read()
    with pytest.raises(OSError, match='is gone'):
        write_proposals(path, broken(), {}, overwrite=True)
    with pytest.raises(ValueError, match='two records'):
        write_proposals(str(tmp_path / 'b'), [*_records(3)] * 2, {})
    assert os.listdir(tmp_path) == ['a.mmprop']
    assert open(path, 'rb').read() == before


@pytest.mark.parametrize(('record', 'words'), [
    (('', 9, 9, []), "an image is ''"),
    (('a', 0, 9, []), "'a' has a size of 0 x 9"),
    (('a', '9', 9, []), "'a' has a size of 9 x 9 pixels, expected whole"),
    (('a', 9, 9, [[0, 0, 9]]), r'the shape \(1, 3\)'),
    (('a', 9, 9, [[0, 0, 9, 9], [0, 0, np.nan, 1]]), "box 1 .*'a'.*finite"),
    (('a', 9, 9, [[3, 0, 2, 9]]), 'ends before it begins'),
    (('a', 9, 9, [[0, 0, 10.5, 9]]), 'ends outside'),
    (('a', 9, 9, [[-1.5, 0, 5, 9]]), 'begins outside'),
])
def test_records_that_cannot_be_right(tmp_path, record, words):
    with pytest.raises(ValueError, match=words):
        write_proposals(str(tmp_path / 'a'), [record], {})
    assert not os.listdir(tmp_path)


def test_files_that_cannot_be_read(tmp_path, path):
    raw = open(path, 'rb').read()
    newer = raw[:8] + struct.pack('<I', 2) + raw[12:]
    flipped = bytearray(raw)
    flipped[25] ^= 1
    cases = {
        b'': 'is an empty file',
        b'{"a": []}': 'is a json.*convert_proposals',
        b'\xff\xd8\xff\xe0 a picture' * 40: 'is no proposal file',
        raw[:100]: 'ends within its header',
        raw[:-1]: f'holds {len(raw) - 1} bytes, expected {len(raw)}',
        raw + b'x': 'is incomplete',
        raw[:256]: 'is incomplete',
        newer: 'has version 2 of the format',
        bytes(flipped): 'is damaged',
    }
    for i, (content, words) in enumerate(cases.items()):
        wrong = tmp_path / f'{i}.mmprop'
        wrong.write_bytes(content)
        with pytest.raises(ValueError, match=f'{wrong.name}.*{words}') as e:
            ProposalFile(wrong)
        assert len(re.findall(r'\.(?:\s|$)', str(e.value))) == 1
    with pytest.raises(FileNotFoundError, match=r'none.mmprop.* not exist'):
        ProposalFile(str(tmp_path / 'none.mmprop'))
    with pytest.raises(ValueError, match='is a folder'):
        ProposalFile(str(tmp_path))


def test_damage_behind_the_header(tmp_path, path):
    raw = open(path, 'rb').read()
    starts = dict(zip(file_layout.SECTIONS,
                      struct.unpack_from('<16Q', raw, 40)[::2]))

    def opened(section, content=b'\xff' * 8):
        start = starts[section]
        damaged = tmp_path / f'{section}.mmprop'
        damaged.write_bytes(
            raw[:start] + content + raw[start + len(content):])
        return ProposalFile(damaged)

    for content in (b'\xff', b'[1]' + b' ' * 40):
        with pytest.raises(ValueError, match=r'params.mmprop.* is damaged in'):
            opened('params', content)
    for section in ('box_ends', 'name_ends'):
        file = opened(section)
        with pytest.raises(ValueError, match=f'{section}.* is damaged in'):
            file[0]
    file = opened('order', b'\xff' * 200)
    with pytest.raises(ValueError, match=r'order.mmprop.* is damaged in'):
        file.get('class 0/img_0.JPEG')


@pytest.mark.parametrize('value', [np.float32(1), float('nan'), {1, 2}])
def test_params_that_json_cannot_store(tmp_path, value):
    with pytest.raises(ValueError, match=r'a.mmprop.* JSON cannot store'):
        write_proposals(str(tmp_path / 'a.mmprop'), _records(), dict(a=value))
    assert not os.listdir(tmp_path)


def test_a_file_that_is_cut_off_while_it_is_open(path):
    file = ProposalFile(path)
    os.truncate(path, 300)
    with pytest.raises(ValueError, match=r'a.mmprop.* has been cut off since'):
        file[7]


def test_files_are_closed(path):
    def open_files():
        return len(os.listdir('/proc/self/fd'))

    gc.collect()
    before = open_files()
    file = ProposalFile(path)
    assert open_files() == before + 1
    del file
    assert open_files() == before
    with open(path, 'r+b') as damaged:
        damaged.write(b'no')
    with pytest.raises(ValueError, match='no proposal file'):
        ProposalFile(path)
    gc.collect()
    assert open_files() == before


def test_a_pickle_is_the_path(path):
    file = ProposalFile(path)
    content = pickle.dumps(file)
    assert len(content) < 300
    assert _same(pickle.loads(content)[7], file[7])


def test_memory_stays_flat(tmp_path):
    """Reading a whole file of 64 MB must not keep it in memory."""
    path = str(tmp_path / 'a.mmprop')
    boxes = np.tile(np.float32([0, 0, 4, 4]), (20000, 1))
    write_proposals(path, ((str(i), 9, 9, boxes) for i in range(200)), {})
    file = ProposalFile(path)
    before, most = _resident_bytes(), 0
    for record in map(file.__getitem__, range(len(file))):
        assert len(record.boxes) == 20000
        most = max(most, _resident_bytes() - before)
    assert most < 20e6


def _resident_bytes():
    with open('/proc/self/status') as f:
        value, = re.findall(r'VmRSS:\s+(\d+) kB', f.read())
    return int(value) * 1024


def test_header_fits():
    assert file_layout.HEADER.size == 168 <= file_layout.HEADER_SIZE
