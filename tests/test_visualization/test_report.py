# Copyright (c) mmloc contributors. All rights reserved.
import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmloc.visualization import Report

_VOID = {'meta', 'img'}


class _Outline(HTMLParser):
    """Collects tags, text and sources; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [v for k, v in attrs if k in ('src', 'href')]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


def _write(report, tmp_path):
    text = Path(report.write(tmp_path / 'new' / 'r.html')).read_text()
    outline = _Outline(text)
    assert outline.open == []
    return text, outline


def test_page(tmp_path):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    report = Report('A & B').text('before <any> section')
    report.section('One').text('first\n\nsecond').figure(image, 'a "picture"')
    report.section('Two').code('python a.py < b\n')
    text, outline = _write(report, tmp_path)
    assert outline.tags.count('section') == 2
    assert outline.tags.count('p') == 3
    for word in ('A & B', 'before <any> section', 'python a.py < b',
                 'a "picture"'):
        assert word in outline.words
    # The picture is in the page, and nothing comes from elsewhere.
    source, = outline.sources
    data = np.frombuffer(base64.b64decode(source.split(',')[1]), np.uint8)
    assert (cv2.imdecode(data, cv2.IMREAD_COLOR) == image).all()
    assert not re.search(r'https?:|url\(|@import|<script', text)


def test_photo_is_smaller(tmp_path):
    image = np.random.RandomState(0).randint(0, 255, (64, 64, 3), np.uint8)
    sizes = [
        len(_write(Report('').figure(image, photo=photo), tmp_path)[0])
        for photo in (False, True)
    ]
    assert sizes[1] < 0.8 * sizes[0]


def test_table(tmp_path):
    report = Report('').table(('start', 'AP', 'time', 'no'),
                              [('InsLoc', 31.26, '12 s', 'not run'),
                               ('scratch <a>', 2.0, '-1 s', 3)])
    text, outline = _write(report, tmp_path)
    assert [w for w in outline.words if w][-8:] == [
        'InsLoc', '31.3', '12 s', 'not run', 'scratch <a>', '2.0', '-1 s', '3'
    ]
    # Head and two cells of the two columns that hold numbers only.
    assert text.count('class=number') == 6
    with pytest.raises(ValueError, match='has 1 cells, expected 2'):
        Report('').table(('a', 'b'), [(1, )])


def test_empty_table_and_report(tmp_path):
    _, outline = _write(Report('').table(('a', ), []), tmp_path)
    assert outline.tags.count('tr') == 1
