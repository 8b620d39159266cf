# Copyright (c) mmloc contributors. All rights reserved.
import json
import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = (Path(__file__).resolve().parents[2] / 'tools' / 'dataset_tools'
        / 'find_duplicates.py')


@pytest.fixture
def find(monkeypatch, tmp_path):
    """Run the tool in a folder with VOC's list of one image of two."""
    rng = np.random.default_rng(0)
    images = [cv2.GaussianBlur(
        rng.integers(0, 256, (60, 80, 3), np.uint8), (0, 0), 2)
        for _ in range(3)]
    (tmp_path / 'photos').mkdir()
    voc = tmp_path / 'VOC2007'
    (voc / 'JPEGImages').mkdir(parents=True)
    (voc / 'ImageSets' / 'Main').mkdir(parents=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / 'photos' / f'{i}.png'), image)
    for name, i in (('000005', 2), ('000007', 1)):
        cv2.imwrite(str(voc / 'JPEGImages' / f'{name}.jpg'), images[i])
    (voc / 'ImageSets' / 'Main' / 'test.txt').write_text('000007\n')
    (voc / 'ImageSets' / 'Main' / 'gone.txt').write_text('000008\n')
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr('sys.argv', [str(TOOL), *args, '--workers', '1'])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code

    return run


def test_results(find, capsys, tmp_path):
    assert find('photos', 'VOC2007/ImageSets/Main/test.txt', '--out',
                'out') == 1
    result = json.loads((tmp_path / 'out' / 'pairs.json').read_text())
    pair, = result['pairs']
    assert (pair['image'], pair['source']) == ('000007.jpg', '1.png')
    assert pair['distance'] < 0.1
    assert (result['num_source'], result['num_split']) == (3, 1)
    assert (tmp_path / 'out' / 'clean.txt').read_text() == '0.png\n2.png\n'
    sheet = cv2.imread(str(tmp_path / 'out' / 'pairs.png'))
    assert sheet.shape[1] > 2 * 220
    assert '1 of 1 images have near-' in capsys.readouterr().out

    # The list is a source without them.
    assert find('out/clean.txt', 'VOC2007/ImageSets/Main/test.txt', '--root',
                'photos', '--out', 'again') == 0
    assert not (tmp_path / 'again' / 'pairs.png').exists()
    assert find('photos', 'VOC2007', '--out', 'out') == 2
    assert 'is there already' in capsys.readouterr().err
    assert find('photos', 'VOC2007', '--out', 'out', '--overwrite') == 1
    assert (tmp_path / 'out' / 'clean.txt').read_text() == '0.png\n'


def test_within(find, capsys):
    assert find('photos') == 0
    assert '0 pairs among 3 images' in capsys.readouterr().out


@pytest.mark.parametrize(('args', 'message'), [
    (['nowhere'], "image folder 'nowhere' does not exist"),
    (['photos', 'VOC2007/ImageSets/Main/gone.txt'],
     "1 of the 1 images that .* are not in .*, the first being '000008'"),
    (['photos', '--min-similarity', '2'], 'min_similarity is 2.0'),
])
def test_mistakes(find, capsys, args, message):
    assert find(*args) == 2
    assert re.search(message, capsys.readouterr().err)
