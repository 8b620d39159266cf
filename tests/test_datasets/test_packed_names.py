# Copyright (c) mmloc contributors. All rights reserved.
import pickle

import pytest

from mmloc.datasets import packed_names
from mmloc.datasets.packed_names import PackedNames, decode, encode


@pytest.mark.parametrize('num', range(7))
def test_packed_in_parts(monkeypatch, num):
    monkeypatch.setattr(packed_names, '_PART', 3)
    names = sorted([b'', b'a', b'b\xff', b'cc/d', b'e\n', b'f'])[:num]
    packed = PackedNames.pack(iter(names))
    assert len(packed) == num
    for copy in (packed, pickle.loads(pickle.dumps(packed))):
        assert list(copy) == [copy[i] for i in range(num)] == names
    assert [packed.find(name) for name in names] == list(range(num))
    assert packed.find(b'bb') is None


def test_names_of_any_bytes():
    assert encode(decode(b'\xff\xc3\xa9')) == b'\xff\xc3\xa9'
