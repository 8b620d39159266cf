# Copyright (c) mmloc contributors. All rights reserved.
import errno
import os

import pytest
import torch

from mmloc.engine.checkpoint_files import (
    CheckpointWriteError,
    check_readable,
    check_resumable,
    find_checkpoint,
    replacing,
)


def save(path, **meta):
    torch.save(
        dict(state_dict=dict(weight=torch.arange(5000.)), optimizer={},
             message_hub={}, meta=dict(epoch=1, iter=2) | meta), path)
    return str(path)


def mark(folder, path):
    (folder / 'last_checkpoint').write_text(str(path))


def test_a_whole_one_is_read_and_may_be_resumed(tmp_path):
    path = save(tmp_path / 'epoch_1.pth')
    check_resumable(path)
    torch.save({}, path, _use_new_zipfile_serialization=False)
    check_readable(path)


def cut(data):
    return data[:len(data) // 2]


def flip(data):
    """Change a weight and leave the rest whole."""
    place = data.index(torch.arange(5000.).numpy().tobytes()) + 4002
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]


@pytest.mark.parametrize('damage', [
    cut, flip, lambda data: b'', lambda data: b'<html>not found</html>'
], ids=['cut', 'flipped', 'empty', 'foreign'])
def test_damage_is_one_sentence(damage, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"epoch_1\.pth' \(\d+ bytes\) cannot "
                       'be read, it is cut off') as info:
        check_readable(str(path))
    assert '\n' not in str(info.value)


def test_weights_alone_cannot_be_resumed(tmp_path):
    path = str(tmp_path / 'converted.pth')
    torch.save(dict(state_dict={}, meta={}), path)
    with pytest.raises(ValueError, match=r'has no optimizer, message_hub, '
                       r'epoch, iter: .* --load-from in place of --resume'):
        check_resumable(path)
    torch.save(torch.zeros(1), path)
    with pytest.raises(ValueError, match='holds a Tensor, expected a dict'):
        check_resumable(path)
    with pytest.raises(FileNotFoundError, match='is not a file; train it'):
        check_resumable(str(tmp_path / 'none.pth'))


def test_the_marked_one_is_found(tmp_path):
    assert find_checkpoint(str(tmp_path)) == (None, [])
    assert find_checkpoint(str(tmp_path / 'nowhere')) == (None, [])
    paths = [save(tmp_path / f'iter_{i}.pth') for i in range(3)]
    mark(tmp_path, paths[1])
    assert find_checkpoint(str(tmp_path)) == (paths[1], [])


def test_without_a_mark_the_newest_is_found(tmp_path):
    save(tmp_path / 'pretrained.pth')  # none of this training's
    assert find_checkpoint(str(tmp_path)) == (None, [])
    for age, name in enumerate(['epoch_10', 'interrupted', 'iter_90']):
        save(tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (1000 - age, 1000 - age))
    (tmp_path / 'last_checkpoint').touch()
    assert find_checkpoint(str(tmp_path))[0] == str(tmp_path / 'epoch_10.pth')


def test_damaged_ones_are_passed_over_aloud(tmp_path):
    good = save(tmp_path / 'epoch_1.pth')
    os.utime(good, (1, 1))
    bad = save(tmp_path / 'epoch_2.pth')
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    mark(tmp_path, bad)
    found, notes = find_checkpoint(str(tmp_path))
    assert found == good
    assert len(notes) == 1
    assert 'epoch_2.pth' in notes[0]
    mark(tmp_path, tmp_path / 'gone.pth')
    assert find_checkpoint(str(tmp_path))[0] == good
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='none of the 3 checkpoints of .* can '
                       r'be resumed; the newest: .*gone\.pth'):
        find_checkpoint(str(tmp_path))


def test_a_folder_that_was_moved_has_its_own(tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    old.mkdir()
    save(old / 'epoch_1.pth')
    os.utime(old / 'epoch_1.pth', (1, 1))
    mark(old, save(old / 'epoch_2.pth'))
    old.rename(new)
    assert find_checkpoint(str(new)) == (str(new / 'epoch_2.pth'), [])
    # Another training at the old place is none of this one's business.
    old.mkdir()
    save(old / 'epoch_2.pth')
    assert find_checkpoint(str(new)) == (str(new / 'epoch_2.pth'), [])
    (old / 'epoch_2.pth').unlink()
    (new / 'epoch_2.pth').unlink()
    found, notes = find_checkpoint(str(new))
    assert found == str(new / 'epoch_1.pth')
    assert 'is not a file' in notes[0]


def test_those_saved_elsewhere_are_found(tmp_path):
    work_dir, out_dir = tmp_path / 'logs', tmp_path / 'big'
    work_dir.mkdir()
    out_dir.mkdir()
    good = save(out_dir / 'epoch_1.pth')
    os.utime(good, (1, 1))
    mark(work_dir, save(out_dir / 'epoch_2.pth'))
    assert find_checkpoint(str(work_dir))[0] == str(out_dir / 'epoch_2.pth')
    (out_dir / 'epoch_2.pth').write_bytes(b'')
    assert find_checkpoint(str(work_dir))[0] == good


def test_an_address_is_left_as_it_is(tmp_path):
    mark(tmp_path, 's3://bucket/run/epoch_1.pth')
    assert find_checkpoint(str(tmp_path)) == (
        's3://bucket/run/epoch_1.pth', [])


def test_other_names_are_found_by_their_template(tmp_path):
    good = save(tmp_path / 'run[1]-0001.pth')
    os.utime(good, (1, 1))
    mark(tmp_path, save(tmp_path / 'run[1]-0002.pth'))
    (tmp_path / 'run[1]-0002.pth').write_bytes(b'')
    found, notes = find_checkpoint(str(tmp_path), 'run[1]-{:04d}.pth')
    assert found == good
    assert len(notes) == 1
    with pytest.raises(ValueError, match='none of the 1 checkpoints'):
        find_checkpoint(str(tmp_path))


def fail_to_write(path):
    with replacing(path) as temporary:
        temporary.write_text('ne')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')
    with replacing(path) as temporary:
        temporary.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    with pytest.raises(CheckpointWriteError, match=r'No space left.*kept'):
        fail_to_write(path)
    assert path.read_text() == 'new'
    assert [x.name for x in tmp_path.iterdir()] == ['file']
