# Copyright (c) mmloc contributors. All rights reserved.
import re
import runpy
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmloc.proposals import write_proposals

TOOL = (Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
        / 'browse_proposals.py')


@pytest.fixture
def browse(monkeypatch):
    def run(*args):
        monkeypatch.setattr('sys.argv', [str(TOOL), *map(str, args)])
        runpy.run_path(str(TOOL), run_name='__main__')
    return run


@pytest.fixture
def files(tmp_path):
    """Three images in a folder and their proposals."""
    root = tmp_path / 'images'
    (root / 'n').mkdir(parents=True)
    names = ['a.png', 'n/b.png', 'n/c.png']
    for name in names:
        cv2.imwrite(str(root / name), np.zeros((40, 60, 3), np.uint8))
    boxes = np.float32([[3, 4, 40, 30], [0, 0, 9, 9]])
    path = tmp_path / 'set.mmprop'
    write_proposals(str(path), [
        (name, 60, 40, boxes[:i]) for i, name in enumerate(names)
    ], dict(scale=300.))
    return path, root


def test_page(files, browse, capsys):
    path, root = files
    with zipfile.ZipFile(path.parent / 'images.zip', 'w') as file:
        for image in root.rglob('*.png'):
            file.write(image, image.relative_to(root))
    browse(path, '--root', root)
    folder = path.parent / 'set.mmprop.browse'
    sheet = cv2.imread(str(folder / 'sheet.png'))
    assert cv2.imread(str(folder / 'statistics.png')).ndim == 3
    page = (folder / 'index.html').read_text()
    assert page.count('<img') == 2
    assert '33.33%' in page  # one of three images has no box
    assert 'index.html' in capsys.readouterr().out

    browse(path, '--root', path.parent / 'images.zip', '--out',
           path.parent / 'zip')
    other = cv2.imread(str(path.parent / 'zip' / 'sheet.png'))
    assert np.array_equal(sheet, other)


@pytest.mark.parametrize(('options', 'message'), [
    (['--root', 'nowhere'], "The root 'nowhere' does not exist"),
    (['--root', '.', '--num', '0'], '0 of the 3 images'),
    (['--root', '.'], 'a.png.: it does not exist'),
])
def test_mistakes(files, browse, capsys, monkeypatch, options, message):
    monkeypatch.chdir(files[0].parent)
    with pytest.raises(SystemExit) as error:
        browse(files[0], *options)
    assert error.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (files[0].parent / 'set.mmprop.browse').exists()


def test_nothing_is_replaced_unasked(files, browse, capsys):
    path, root = files
    folder = path.parent / 'out'
    folder.mkdir()
    (folder / 'index.html').write_text('mine')
    with pytest.raises(SystemExit):
        browse(path, '--root', root, '--out', folder)
    assert 'is there already' in capsys.readouterr().err
    assert (folder / 'index.html').read_text() == 'mine'
