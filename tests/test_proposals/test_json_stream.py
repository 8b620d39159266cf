# Copyright (c) mmloc contributors. All rights reserved.
import io
import json
import random

import pytest

from mmloc.proposals import json_stream
from mmloc.proposals.json_stream import JsonStream


def _value(rng, depth):
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.randrange(-10**9, 10**9)
    if kind == 2:
        return rng.random() * 10**rng.randrange(-20, 20)
    if kind < 5:
        return ''.join(rng.choices('ab"\\\n\té猫{}[],: ', k=rng.randrange(9)))
    if kind < 7:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(5))]
    return {str(i): _value(rng, depth - 1) for i in range(rng.randrange(5))}


@pytest.mark.parametrize('chunk', [1, 2, 7, 1000])
def test_it_reads_what_json_reads(monkeypatch, chunk):
    monkeypatch.setattr(json_stream, '_CHUNK', chunk)
    rng = random.Random(chunk)
    for _ in range(60):
        content = {str(i): [_value(rng, 3) for _ in range(rng.randrange(4))]
                   for i in range(rng.randrange(4))}
        text = json.dumps(content, indent=rng.choice([None, 2]),
                          ensure_ascii=rng.random() < 0.5)
        stream = JsonStream(io.StringIO(text))
        found = {}
        for key in stream.members():
            found[key] = [stream.value() for _ in stream.elements()]
        assert found == content


@pytest.mark.parametrize(('text', 'words'), [
    ('', r"expected '\{' at character 0, found the end"),
    ('[1]', r"expected '\{' at character 0, found '\[1\]'"),
    ('{"a": 1', "expected ',' at character 7, found the end"),
    ('{"a": 1 "b"', "expected ',' at character 8"),
    ('{"a": [1, ', 'expected a JSON value'),
    ('{"a": nul', "expected a JSON value at character 6, found 'nul'"),
    ('{"a" 1}', "expected ':'"),
])
def test_errors_name_the_place(monkeypatch, text, words):
    monkeypatch.setattr(json_stream, '_CHUNK', 3)
    stream = JsonStream(io.StringIO(text))
    with pytest.raises(ValueError, match=words):
        dict.fromkeys(stream.value() for _ in stream.members())
