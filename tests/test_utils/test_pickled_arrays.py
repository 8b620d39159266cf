# Copyright (c) mmloc contributors. All rights reserved.
import io
import pickle

import numpy as np
import pytest
import torch

import mmloc  # noqa: F401
from mmloc.export import read_checkpoint


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class ObjectDtype:
    """Pickles as a dtype whose state makes its items objects."""

    def __reduce__(self):
        field = (np.dtype('O'), 0)
        return np.dtype, ('V8', ), (3, '|', None, ('a', ), {'a': field}, 8, 1,
                                    0)


# None of them is touched: where one were built, the process would end.
@pytest.mark.parametrize('content', [
    Call(np.ndarray, (2, ), 'O', b'AAAAAAAABBBBBBBB'),
    ObjectDtype(),
    np.array([None, {}], dtype=object),
], ids=['memory', 'dtype', 'objects'])
@pytest.mark.parametrize('name', ['a.pth', 'a.pkl'])
def test_pointers_are_refused(content, name, tmp_path):
    path = tmp_path / name
    with path.open('wb') as file:
        save = torch.save if name == 'a.pth' else pickle.dump
        save(dict(model={}, x=content), file)
    with pytest.raises(ValueError, match=r'asks for numpy\.(ndarray|dtype) '):
        read_checkpoint(str(path))


def test_numbers_come_back_and_go_on_as_arrays():
    array = np.arange(6, dtype='f4').reshape(2, 3).T
    file = io.BytesIO()
    torch.save(array, file)
    file.seek(0)
    back = torch.load(file, weights_only=True)
    np.testing.assert_array_equal(back, array)
    assert type(pickle.loads(pickle.dumps(back))) is np.ndarray
