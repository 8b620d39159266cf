# Copyright (c) mmloc contributors. All rights reserved.
"""Reading the reference numbers and filling models by the reference's rule.

The numbers were computed with the published implementations. The folder is
``tests/data/golden`` unless the environment variable ``MMLOC_GOLDEN`` names
another set of the same form.
"""
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(
    os.environ.get('MMLOC_GOLDEN',
                   Path(__file__).parents[1] / 'data' / 'golden'))


#: Of comparisons in float64.
TOLERANCE = 1e-9
#: Largest error of each quantity compared so far, and its kind.
ERRORS = {}


def load_case(name: str) -> tuple:
    """Return scalars and arrays of a case.

    The test is skipped if the set lacks the case, but fails if there is no
    set: a mistyped path must not look like a passed comparison.
    """
    if not any(GOLDEN.glob('*.json')):
        pytest.fail(
            f'{GOLDEN} holds no reference numbers, expected a folder with '
            'a .json and an .npz file for each case; correct MMLOC_GOLDEN or '
            'unset it to compare with the set of the repository.',
            pytrace=False)
    if not (GOLDEN / f'{name}.json').exists():
        pytest.skip(f'the set in {GOLDEN} has no case {name}')
    return (json.loads((GOLDEN / f'{name}.json').read_text()),
            np.load(GOLDEN / f'{name}.npz'))


def assert_close(quantity: str,
                 ours,
                 reference,
                 rtol: float = 0,
                 atol: float = 0) -> None:
    """Compare, and note the largest error for the summary of the run.

    Args:
        quantity (str): Name in the summary.
        ours, reference (array_like): Of equal shape.
        rtol (float): Allowed error relative to the reference.
        atol (float): Allowed absolute error. If only it is given, the noted
            error is absolute.
    """
    ours, reference = np.asarray(ours), np.asarray(reference)
    error = np.abs(ours - reference)
    if rtol:
        error = error / np.maximum(np.abs(reference), atol / rtol + 1e-300)
    worst = max(error.max(initial=0), ERRORS.get(quantity, (0, ''))[0])
    ERRORS[quantity] = (worst, 'relative' if rtol else 'absolute')
    np.testing.assert_allclose(ours, reference, rtol=rtol, atol=atol)


def reference_value(name: str, shape: tuple) -> torch.Tensor:
    """Value of a state dict entry by the fill rule of the reference set."""
    if name.endswith('running_mean') or name.endswith('running_var'):
        return torch.full(shape, float(name.endswith('running_var')))
    seed = zlib.crc32(name.encode()) & 0x7fffffff
    x = np.random.RandomState(seed).standard_normal(shape)
    if name == 'queues':
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    elif name.endswith('.bias'):
        x *= 0.05
    elif len(shape) == 1:
        x = 1 + 0.1 * x
    else:
        x *= np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(x.astype(np.float32))


def reference_images(seed: int, num: int, size: tuple) -> torch.Tensor:
    """Normalised images of a case, (num, 3, H, W)."""
    x = np.random.RandomState(seed).standard_normal((num, 3, *size))
    return torch.from_numpy(x.astype(np.float32))


def fill(module: torch.nn.Module, rename: Callable) -> None:
    """Fill parameters and running statistics by their reference names."""
    for name, value in module.state_dict().items():
        if name.endswith('num_batches_tracked'):
            value.zero_()
        else:
            value.copy_(reference_value(rename(name), tuple(value.shape)))


def total(losses: dict) -> torch.Tensor:
    """Sum of the entries that are losses."""
    return sum(v for k, v in losses.items() if k.startswith('loss'))


def is_parameter(name: str) -> bool:
    """Whether a state dict entry is a parameter."""
    return name.endswith(('.weight', '.bias'))


def is_statistic(name: str) -> bool:
    """Whether a state dict entry is a running mean or variance."""
    return name.endswith(('running_mean', 'running_var'))


def norms(module: torch.nn.Module, keep: Callable, rename: Callable) -> dict:
    """Norm of each entry that is to keep, by its reference name."""
    return {
        rename(name): value.double().norm().item()
        for name, value in module.state_dict().items() if keep(name)
    }


def assert_same(quantity: str,
                ours: dict,
                reference: dict,
                rtol: float,
                skip=()) -> None:
    """Compare values by name."""
    assert set(ours) == set(reference)
    names = sorted(set(ours) - set(skip))
    assert_close(
        quantity, [ours[n] for n in names], [reference[n] for n in names],
        rtol=rtol,
        atol=rtol * 1e-3)
