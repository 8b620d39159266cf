# Copyright (c) mmloc contributors. All rights reserved.
import argparse
import io
import os
import pickle
import sys
from collections import OrderedDict

import numpy as np
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


def test_arrays_are_all_that_is_read_of_a_pickle(folder):
    arrays = OrderedDict(a=np.arange(6, dtype='f4').reshape(2, 3),
                         b=np.array(7))
    content = dict(model=arrays, __author__='X', matching_heuristics=True)
    for protocol in range(2, 6):
        with open('a.pkl', 'wb') as file:
            pickle.dump(content, file, protocol)
        back = read_checkpoint('a.pkl')
        assert {**back, 'model': None} == {**content, 'model': None}
        for name, array in arrays.items():
            assert torch.equal(back['model'][name], torch.from_numpy(array))
    for code in (Command(), torch.zeros(1), Command):
        with open('a.pkl', 'wb') as file:
            pickle.dump(dict(content, opt=code), file)
        with pytest.raises(ValueError, match=r"'a.pkl' asks for [\w.]+ .*"
                           'anything to this computer .* --trust'):
            read_checkpoint('a.pkl')
        assert not (folder / 'made_by_checkpoint').exists()
    with open('a.pkl', 'wb') as file:
        pickle.dump(dict(content, opt=Command()), file)
    read_checkpoint('a.pkl', trust=True)
    assert (folder / 'made_by_checkpoint').exists()


def test_pickles_are_for_every_numpy():
    write_checkpoint(
        dict(model=dict(a=torch.ones(2, 3).t(), b=torch.tensor(1))), 'a.pkl')
    with open('a.pkl', 'rb') as file:
        content = pickle.load(file)
        file.seek(0)
        # The paths of these two are the same in all of its versions.
        assert set(names_in(file.read())) == {'numpy.ndarray', 'numpy.dtype'}
    assert isinstance(content['model']['a'], np.ndarray)
    np.testing.assert_array_equal(content['model']['a'], np.ones((3, 2)))
    assert content['model']['b'].shape == ()


def names_in(content):
    """What a pickle imports."""
    names = []

    class Reader(pickle.Unpickler):

        def find_class(self, module, name):
            names.append(f'{module}.{name}')
            return super().find_class(module, name)

    Reader(io.BytesIO(content)).load()
    return names


def test_safetensors():
    x = torch.randn(4, 3)
    state = dict(a=x, b=x, c=x[:2].t(), d=torch.tensor(3), e=x.half())
    meta = dict(converted_from=dict(epoch=3))
    write_checkpoint(dict(state_dict=state, meta=meta), 'a.safetensors')
    back = read_checkpoint('a.safetensors')
    assert back['meta'] == meta
    for name, tensor in state.items():
        assert back['state_dict'][name].dtype == tensor.dtype
        assert torch.equal(back['state_dict'][name], tensor)
    write_checkpoint(state, 'b.safetensors')
    assert read_checkpoint('b.safetensors')['meta'] == {}


def test_safetensors_is_optional(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    for call in (lambda: write_checkpoint({}, 'a.safetensors'),
                 lambda: read_checkpoint('a.safetensors')):
        with pytest.raises(RuntimeError, match='run "pip install safetensor'):
            call()
    assert not list(folder.iterdir())


def test_broken_and_foreign_files(folder):
    write_checkpoint(dict(model=torch.ones(1000)), 'whole.pth')
    content = (folder / 'whole.pth').read_bytes()
    for broken in (content[:len(content) // 2], b'', b'\x89PNG\r\n', b'{}'):
        for trust in (False, True):
            for name in ('a.pth', 'a.pkl', 'a.safetensors'):
                (folder / name).write_bytes(broken)
                with pytest.raises(ValueError, match='is damaged or no'):
                    read_checkpoint(name, trust)
    torch.save([torch.ones(1)], 'a.pth')
    with pytest.raises(ValueError, match='holds a list, but a checkpoint is'):
        read_checkpoint('a.pth')
    with pytest.raises(FileNotFoundError):
        read_checkpoint('b.pth')
    with pytest.raises(ValueError, match='is there already'):
        write_checkpoint({}, 'whole.pth')
    assert (folder / 'whole.pth').read_bytes() == content
