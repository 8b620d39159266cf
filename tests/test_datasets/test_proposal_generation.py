# Copyright (c) mmloc contributors. All rights reserved.
import json
import multiprocessing
import os
import signal
import time
import zipfile
from contextlib import suppress

import cv2
import numpy as np
import pytest
from PIL import Image

from mmloc.datasets import LoadImage, proposal_generation, proposal_output
from mmloc.datasets.proposal_generation import generate_proposals
from mmloc.datasets.proposal_job import ImageNames, Shard
from mmloc.datasets.proposal_output import merge_shards
from mmloc.datasets.transforms import GenerateProposals
from mmloc.proposals import ProposalFile
from mmloc.utils.journal import Journal


def _search(**kwargs):
    kwargs = dict(dict(min_size=20, rule=dict(min_side=12)), **kwargs)
    return GenerateProposals(None, on_empty='keep', **kwargs)


def _picture(seed, height=48, width=64):
    coarse = np.random.RandomState(seed).randint(0, 255, (3, 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height),
                      interpolation=cv2.INTER_NEAREST)


def _write(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), _picture(seed))


@pytest.fixture
def folder(tmp_path):
    """Seven images in two folders; one unreadable, one without a box."""
    root = tmp_path / 'set'
    for i, name in enumerate(['a', 'n/1', 'n/2', 'n/4', 'z']):
        _write(root / f'{name}.png', i)
    (root / 'n' / '3.jpg').write_bytes(b'no image')
    cv2.imwrite(str(root / 'n' / 'flat.png'), np.zeros((9, 9, 3), np.uint8))
    return root


def _generate(source, out, search=None, **kwargs):
    return generate_proposals(
        str(source), str(out), search or _search(), workers=2, **kwargs)


def _listing(out):
    return sorted(path.name for path in out.parent.iterdir()
                  if path.name.startswith(out.name))


def test_file_and_report(folder, tmp_path):
    out = tmp_path / 'a.mmprop'
    report, is_new = _generate(folder, out)
    assert is_new
    assert _listing(out) == ['a.mmprop', 'a.mmprop.report.json']
    assert json.loads((tmp_path / 'a.mmprop.report.json').read_text()) == (
        report)
    assert report['images'] == 7
    assert report['skipped'] == [dict(
        name='n/3.jpg', reason='is damaged, truncated or not an image that '
        'OpenCV can decode')]
    assert report['without_proposals'] == ['n/flat.png']

    file = ProposalFile(out)
    assert list(file.names) == ['a.png', 'n/1.png', 'n/2.png', 'n/4.png',
                                'n/flat.png', 'z.png']  # yapf: disable
    assert report['written'] == len(file) == 6
    assert report['boxes'] == file.num_boxes > 9
    assert file.params == dict(
        method='selective_search', algorithm=1, scale=300., sigma=.9,
        min_size=20, max_side=None, rule=[
            dict(min_side=12., max_ratio=None, min_size=0., max_size=None)])
    for name, width, height, boxes in file:
        results = _search()(LoadImage()(dict(img_path=str(folder / name))))
        assert (height, width) == results['img_shape']
        assert np.array_equal(boxes, results['proposals'])


def test_sources_agree(folder, tmp_path):
    names = [path.relative_to(folder).as_posix()
             for path in sorted(folder.rglob('*.*g'))]
    (tmp_path / 'list.txt').write_text('\n'.join([*names, names[2]]))
    (folder / 'coco.json').write_text(json.dumps(dict(
        images=[dict(id=i, file_name=n) for i, n in enumerate(names)])))
    with zipfile.ZipFile(tmp_path / 'set.zip', 'w') as file:
        for name in names:
            file.write(folder / name, name)
    with zipfile.ZipFile(tmp_path / 'odd.zip', 'w') as file:
        for name in ('/a.png', './z.png'):
            file.write(folder / name[-5:].lstrip('/'), name)
    report, _ = _generate(tmp_path / 'odd.zip', tmp_path / 'odd.mmprop')
    assert (report['written'], report['skipped']) == (2, [])
    found = {}
    for source, root in ((folder, None), (tmp_path / 'set.zip', None),
                         (tmp_path / 'list.txt', str(folder)),
                         (folder / 'coco.json', None)):
        out = tmp_path / f'{source.name}.mmprop'
        report, _ = _generate(source, out, root=root)
        found[out.read_bytes()] = out
        assert report['num_repeated'] == (source.suffix == '.txt')
    assert len(found) == 1
    with pytest.raises(ValueError, match='leave the root out'):
        ImageNames.read(str(folder), 'elsewhere')


def test_odd_images(tmp_path):
    """What training decodes is worked on; the rest is named with reasons."""
    root, rgb = tmp_path / 'set', _picture(1)
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    image = Image.fromarray(rgb)
    image.save(root / 'exif.png', exif=exif)
    image.convert('CMYK').save(root / 'cmyk.jpg')
    image.convert('L').save(root / 'gray.png')
    image.convert('P').save(root / 'palette.png', transparency=3)
    image.convert('RGBA').save(root / 'alpha.png')
    cv2.imwrite(str(root / '16bit.png'), rgb.astype(np.uint16) * 257)
    cv2.imwrite(str(root / 'one_wide.png'), rgb[:, :1])
    cv2.imwrite(str(root / 'one_pixel.png'), rgb[:1, :1])
    good = sorted(path.name for path in root.iterdir())
    jpg = cv2.imencode('.jpg', rgb)[1].tobytes()
    (root / 'cut.jpg').write_bytes(jpg[:len(jpg) // 2])
    (root / 'empty.jpg').write_bytes(b'')
    (root / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    out = tmp_path / 'a.mmprop'
    report, _ = _generate(root, out)
    file = ProposalFile(out)
    assert list(file.names) == good
    for name, width, height, boxes in file:
        results = _search()(LoadImage()(dict(img_path=str(root / name))))
        assert (height, width) == results['img_shape']
        assert np.array_equal(boxes, results['proposals'])
    assert file.get('exif.png')[1:3] == (48, 64)
    assert file.get('one_wide.png')[1:3] == (1, 48)
    assert [(item['name'], item['reason'].split()[1])
            for item in report['skipped']] == [
        ('cut.jpg', 'damaged,'), ('empty.jpg', 'empty'),
        ('gone.png', 'not')]  # yapf: disable


def test_shards_merge_into_the_same_file(folder, tmp_path):
    whole, out = tmp_path / 'whole.mmprop', tmp_path / 'parts.mmprop'
    _generate(folder, whole)
    for number in (3, 1):
        _generate(folder, out, shard=Shard(number, 3))
    with pytest.raises(FileNotFoundError, match=r'1 of 3 .*shard2of3'):
        merge_shards(str(out))
    _generate(folder, out, _search(scale=99), shard=Shard(2, 3))
    with pytest.raises(ValueError, match=r'shard2of3.* was made with '):
        merge_shards(str(out))
    _generate(folder, out, shard=Shard(2, 3), overwrite=True)
    merge_shards(str(out))
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / 'parts.mmprop.report.json').read_bytes() == (
        tmp_path / 'whole.mmprop.report.json').read_bytes()
    with pytest.raises(ValueError, match='is there already'):
        merge_shards(str(out))
    with pytest.raises(FileNotFoundError, match=r'shards of no parts'):
        merge_shards(str(tmp_path / 'none.mmprop'))


def test_wrong_shards(folder, tmp_path):
    with pytest.raises(ValueError, match=r'3/2, expected one of 1/2 to 2/2'):
        Shard.parse('3/2')
    with pytest.raises(ValueError, match=r"'1of2', expected i/n"):
        Shard.parse('1of2')


def test_shards_with_nothing_to_store(folder, tmp_path):
    """More shards than images, and one whose only image is unreadable."""
    whole, out = tmp_path / 'whole.mmprop', tmp_path / 'parts.mmprop'
    _generate(folder, whole)
    for number in range(1, 9):
        _generate(folder, out, shard=Shard(number, 8))
    sizes = [len(ProposalFile(Shard(i, 8).path(str(out))))
             for i in range(1, 9)]
    assert sorted(sizes) == [0, 0, 1, 1, 1, 1, 1, 1]
    merge_shards(str(out))
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / 'parts.mmprop.report.json').read_bytes() == (
        tmp_path / 'whole.mmprop.report.json').read_bytes()


class _Stop:
    """Shows no progress but stops, as Ctrl-C does, after some images."""

    def __init__(self, after):
        self.after = after

    def __call__(self, items, total, description):
        self.total = total
        for i, item in enumerate(items):
            if i == self.after:
                raise KeyboardInterrupt
            yield item


def test_goes_on_after_a_stop(folder, tmp_path):
    whole, out = tmp_path / 'whole.mmprop', tmp_path / 'out.mmprop'
    _generate(folder, whole)
    for track, total in ((_Stop(3), 7), (_Stop(2), None)):
        with pytest.raises(KeyboardInterrupt):
            _generate(folder, out, track=track)
        assert total in (None, track.total)
        assert _listing(out) == ['out.mmprop.journal']
    for search in (_search(scale=200.), _search(rule='none')):
        with pytest.raises(ValueError, match='give the same to go on'):
            _generate(folder, out, search)
    _write(folder / 'new.png')
    with pytest.raises(ValueError, match=r'begun with images .*7 images'):
        _generate(folder, out)
    (folder / 'new.png').unlink()
    last = _Stop(None)
    _generate(folder, out, track=last)
    # What could not be read is tried again each time.
    assert 2 <= last.total <= 4
    assert out.read_bytes() == whole.read_bytes()
    assert len(_listing(out)) == 2


@pytest.mark.parametrize('step', ['report', 'file', 'journal'])
def test_goes_on_from_the_very_end(folder, tmp_path, monkeypatch, step):
    whole, out = tmp_path / 'whole.mmprop', tmp_path / 'out.mmprop'
    _generate(folder, whole)
    replace = os.replace

    def stop(*_):
        raise KeyboardInterrupt

    def maybe_stop(source, target):
        end = dict(report='.report.json', file='out.mmprop').get(step, '-')
        (stop if str(target).endswith(end) else replace)(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(proposal_output.os, 'replace', maybe_stop)
        if step == 'journal':
            patch.setattr(Journal, 'remove', stop)
        with pytest.raises(KeyboardInterrupt):
            _generate(folder, out)
    assert out.exists() == (step == 'journal')
    _generate(folder, out)
    assert out.read_bytes() == whole.read_bytes()
    assert len(_listing(out)) == 2


def test_unreadable_images_are_tried_again(folder, tmp_path):
    """A disk may have been away, or the user has mended the image."""
    out = tmp_path / 'out.mmprop'
    (folder / '0.png').write_bytes(b'not yet')
    with pytest.raises(KeyboardInterrupt):
        _generate(folder, out, track=_Stop(7))
    _write(folder / '0.png')
    report, _ = _generate(folder, out)
    assert '0.png' in ProposalFile(out)
    assert [item['name'] for item in report['skipped']] == ['n/3.jpg']


def test_an_update_meanwhile(folder, tmp_path, monkeypatch):
    """Boxes of two versions of the search may not get into one file."""
    out = tmp_path / 'out.mmprop'
    _generate(folder, out, shard=Shard(1, 2))
    with pytest.raises(KeyboardInterrupt):
        _generate(folder, out, shard=Shard(2, 2), track=_Stop(2))
    monkeypatch.setattr(proposal_generation, 'ALGORITHM', 2)
    with pytest.raises(ValueError, match='algorithm 1 and now 2: give the'):
        _generate(folder, out, shard=Shard(2, 2))
    _generate(folder, out, shard=Shard(2, 2), restart=True)
    with pytest.raises(ValueError, match=r'shard2of2.* was made with .*2'):
        merge_shards(str(out))


def test_restart(folder, tmp_path):
    out, track = tmp_path / 'out.mmprop', _Stop(3)
    with pytest.raises(KeyboardInterrupt):
        _generate(folder, out, _search(scale=200.), track=track)
    track.after = None
    _generate(folder, out, restart=True, track=track)
    assert track.total == 7
    assert ProposalFile(out).params['scale'] == 300.


def test_nothing_is_replaced_unasked(folder, tmp_path):
    out, track = tmp_path / 'out.mmprop', _Stop(None)
    _generate(folder, out)
    before = out.read_bytes()
    assert _generate(folder, out, track=track)[1] is False
    assert not hasattr(track, 'total')  # there was nothing to do
    with pytest.raises(ValueError, match='is there already, from other'):
        _generate(folder, out, _search(scale=99.))
    assert out.read_bytes() == before
    assert len(_listing(out)) == 2
    _generate(folder, out, _search(scale=99.), overwrite=True)
    assert ProposalFile(out).params['scale'] == 99.
    out.write_bytes(b'mine')
    with pytest.raises(ValueError, match='or without its report'):
        _generate(folder, out, _search(scale=99.))
    assert out.read_bytes() == b'mine'


def test_files_of_others(folder, tmp_path):
    out, report = (tmp_path / f'a.mmprop{end}' for end in ('', '.report.json'))
    report.write_text('{"mine": 1}')
    with pytest.raises(ValueError, match='is no report of proposals'):
        _generate(folder, out)
    assert _listing(out) == ['a.mmprop.report.json']
    for number in (1, 2):
        _generate(folder, out, shard=Shard(number, 2))
    with pytest.raises(ValueError, match='is no report of proposals'):
        merge_shards(str(out))
    assert report.read_text() == '{"mine": 1}'
    (tmp_path / 'a.mmprop.merging').write_text('mine')
    merge_shards(str(out), overwrite=True)
    assert (tmp_path / 'a.mmprop.merging').read_text() == 'mine'
    assert not any(path.name[0] == '.' for path in tmp_path.iterdir())


def test_no_image_can_be_read(tmp_path):
    (tmp_path / 'list.txt').write_text('a.png\nb.png')
    out = tmp_path / 'out.mmprop'
    with pytest.raises(RuntimeError, match=r'None of the 2 .*a.png.* does not '
                       r'exist; check'):
        _generate(tmp_path / 'list.txt', out)
    assert _listing(out) == []
    for number in (1, 2):
        _generate(tmp_path / 'list.txt', out, shard=Shard(number, 2))
    with pytest.raises(RuntimeError, match=r'None of the 2 .*a.png'):
        merge_shards(str(out))
    assert not out.exists()


def test_a_killed_worker(folder, tmp_path, monkeypatch):
    """As the system does when memory runs out."""

    class Greedy(LoadImage):

        def transform(self, results):
            if results['img_path'].endswith('n/4.png'):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().transform(results)

    whole, out, other = (
        tmp_path / f'{name}.mmprop' for name in ('whole', 'out', 'other'))
    _generate(folder, whole)
    with monkeypatch.context() as patch:
        patch.setattr(proposal_generation, 'LoadImage', Greedy)
        for path in (out, other):
            with pytest.raises(
                    RuntimeError, match=r"was killed while .*'n/4.png'"
                    r'.* fewer workers'):
                _generate(folder, path)
        report, _ = _generate(folder, other)
    # Left out is what is to blame, and not what was in work besides.
    assert list(ProposalFile(other).names) == [
        name for name in ProposalFile(whole).names if name != 'n/4.png']
    assert [item['name'] for item in report['skipped']] == [
        'n/3.jpg', 'n/4.png']
    assert 'killed, usually because' in report['skipped'][1]['reason']
    _generate(folder, out)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_killed_at_any_moment(folder, tmp_path):
    for i in range(40):
        _write(folder / f'{i:02d}.png', i)
    whole, out = tmp_path / 'whole.mmprop', tmp_path / 'out.mmprop'
    _generate(folder, whole)
    journal = tmp_path / 'out.mmprop.journal'

    def written():
        return sum(path.stat().st_size for path in journal.glob('*.part'))

    rng = np.random.default_rng(0)
    kills = parts = 0
    while not out.exists():
        goal = written() + rng.integers(1000)  # of about 8000 bytes
        process = multiprocessing.get_context('fork').Process(
            target=_generate, args=(folder, out))
        process.start()
        with suppress(FileNotFoundError):  # it has come to the end
            while process.exitcode is None and written() < goal:
                time.sleep(0.001)
            kills += process.exitcode is None
            parts = max(parts, len(list(journal.glob('*.part'))))
            process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
    assert kills > 2
    assert parts > 2, 'no run went on'
    _generate(folder, out)
    assert out.read_bytes() == whole.read_bytes()
    assert len(_listing(out)) == 2
