# Copyright (c) mmloc contributors. All rights reserved.
import argparse
import os

import pytest
import torch

from mmloc.export import read_checkpoint, write_checkpoint


class Command:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ('made_by_checkpoint', )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_options_are_read_as_they_are():
    options = argparse.Namespace(arch='resnet50', in_channels=[256, 512])
    write_checkpoint(dict(opt=options, epoch=3), 'a.pth')
    assert read_checkpoint('a.pth') == dict(opt=options, epoch=3)
    # Nowhere else.
    with pytest.raises(Exception, match='Namespace'):
        torch.load('a.pth', weights_only=True)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_runs_only_when_trusted(folder, zipped):
    torch.save(
        dict(model=Command()), 'a.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"'a.pth' asks for \w+.mkdir .*"
                       'anything to this computer .* --trust'):
        read_checkpoint('a.pth')
    assert not (folder / 'made_by_checkpoint').exists()
    read_checkpoint('a.pth', trust=True)
    assert (folder / 'made_by_checkpoint').exists()


def test_broken_and_foreign_files(folder):
    write_checkpoint(dict(model=torch.ones(1000)), 'whole.pth')
    content = (folder / 'whole.pth').read_bytes()
    for broken in (content[:len(content) // 2], b'', b'\x89PNG\r\n', b'{}'):
        (folder / 'a.pth').write_bytes(broken)
        for trust in (False, True):
            with pytest.raises(ValueError, match=r"'a\.pth' is damaged or no"):
                read_checkpoint('a.pth', trust)
    torch.save([torch.ones(1)], 'a.pth')
    with pytest.raises(ValueError, match='holds a list, but a checkpoint is'):
        read_checkpoint('a.pth')
    with pytest.raises(FileNotFoundError):
        read_checkpoint('b.pth')
    with pytest.raises(ValueError, match='is there already'):
        write_checkpoint({}, 'whole.pth')
    assert (folder / 'whole.pth').read_bytes() == content
