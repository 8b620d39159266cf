# Copyright (c) mmloc contributors. All rights reserved.
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmloc.datasets import LoadImage
from mmloc.datasets.proposal_conversion import convert_proposals, image_size
from mmloc.proposals import ProposalFile
from mmloc.utils.cli import EXIT_CODE

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/convert_proposals.py'


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the tool in a folder; gives what it prints, or its mistake."""
    monkeypatch.chdir(tmp_path)

    def call(command, code=0):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *command.split()])
        if code == 0:
            runpy.run_path(str(TOOL), run_name='__main__')
        else:
            with pytest.raises(SystemExit) as stop:
                runpy.run_path(str(TOOL), run_name='__main__')
            assert stop.value.code == code
        out = capsys.readouterr()
        return out.out if code == 0 else out.err

    return call


@pytest.fixture
def images(tmp_path):
    """Two pictures of 40 x 30 pixels, the second turned by its EXIF data."""
    exif = Image.Exif()
    (tmp_path / 'images/a').mkdir(parents=True)
    for i, name in enumerate(('a/1.jpg', '2.jpg')):
        exif[0x0112] = 6 if i else 1
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(
            tmp_path / 'images' / name, exif=exif)
    soco = {'1': [[1, 2, 30, 20]], '2': [[0, 0, 39, 9]]}
    (tmp_path / 'soco.json').write_text(json.dumps(soco))


@pytest.mark.usefixtures('images')
def test_soco_to_all_and_back(run):
    assert '2 images to a.mmprop' in run(
        'soco.json a.mmprop --images images')
    file = ProposalFile('a.mmprop')
    assert file.params == dict(converted_from='soco', source='soco.json')
    assert file.get('a/1.jpg')[:3] == ('a/1.jpg', 40, 30)
    assert file.get('a/1.jpg').boxes.tolist() == [[1, 2, 31, 22]]
    # A strip along the upper edge stands on the right of the upright image.
    assert file.get('2.jpg')[:3] == ('2.jpg', 30, 40)
    assert file.get('2.jpg').boxes.tolist() == [[20, 0, 29, 39]]

    run('a.mmprop coco.json --to coco')
    run('coco.json b.mmprop')
    assert Path('b.mmprop').read_bytes() == Path('a.mmprop').read_bytes()
    convert_proposals('a.mmprop', 'coco2.json', to='coco')
    assert Path('coco2.json').read_text() == Path('coco.json').read_text()
    run('a.mmprop soco2.json --to soco --images images')
    assert json.loads(Path('soco2.json').read_text()) == json.loads(
        Path('soco.json').read_text())
    run('a.mmprop npy --to detreg --images images')
    assert np.load('npy/2.npy').tolist() == [[0, 0, 39, 9]]
    Path('list.txt').write_text('a/1.jpg 7\n')
    run('npy c.mmprop --images list.txt --img-prefix images')
    assert list(ProposalFile('c.mmprop').names) == ['a/1.jpg']


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_sizes_are_those_of_the_stored_image(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 9)  # of Pillow's own
    exif = Image.Exif()
    for orientation in (1, 3, 6, 8):
        exif[0x0112] = orientation
        path = str(tmp_path / f'a{suffix}')
        Image.new('L', (40, 30)).save(path, exif=exif)
        assert image_size(dict(img_path=path)) == (40, 30, orientation)
        # And that is how it is loaded.
        shape = LoadImage()(dict(img_path=path))['img_shape']
        assert shape == ((40, 30) if orientation > 4 else (30, 40))


@pytest.mark.usefixtures('images')
def test_mistakes_are_one_sentence(run):
    for command, words in {
        'none.json a.mmprop': "'none.json' does not exist",
        'soco.json a.mmprop': 'name its images by --images',
        'soco.json a.json': 'say --to soco, --to coco',
        'soco.json a.json --to coco': 'exactly one of them must be',
        'soco.json a.mmprop --images nowhere': 'nowhere',
        'soco.json a.mmprop --images images --from coco': 'lists 0 images',
        'soco.json soco.json --to soco --from mmprop': 'is there already',
        'soco.json b.json --to coco --from mmprop': 'is a json, expected',
    }.items():
        assert words in run(command, EXIT_CODE).replace('\n', ' ')
    assert sorted(p.name for p in Path().iterdir()) == ['images', 'soco.json']
    run('soco.json a.mmprop --images images')
    run('soco.json a.mmprop --images images', EXIT_CODE)
    assert 'name its images by --images' in run(
        'a.mmprop npy --to detreg', EXIT_CODE)
    Path('npy').mkdir()
    assert 'give the name of a new folder' in run(
        'a.mmprop npy --to detreg --images images --overwrite', EXIT_CODE)
    Path('npy').rmdir()
    Path('list.txt').write_text('2.jpg')
    assert "'a/1.jpg' of 'a.mmprop' is not among the 1 images" in run(
        'a.mmprop npy --to detreg --images list.txt --img-prefix images',
        EXIT_CODE)
    Image.new('L', (30, 40)).save('images/a/1.jpg')
    assert "'a/1.jpg' are for 40 x 30 pixels, but the image" in run(
        'a.mmprop npy --to detreg --images images', EXIT_CODE)
    run('soco.json a.mmprop --images images --overwrite')
    (Path('images') / '3.jpg').write_text('no image')
    assert 'no entry for 1 of the images' in run(
        'soco.json b.mmprop --images images', EXIT_CODE)
    Path('soco.json').write_text('{"1": [[1, 2, 50, 9]], "2": []}')
    (Path('images') / '3.jpg').unlink()
    assert "box 0 of the image 'a/1.jpg' (30 x 40 pixels)" in run(
        'soco.json b.mmprop --images images', EXIT_CODE)
