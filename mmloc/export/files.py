# Copyright (c) mmloc contributors. All rights reserved.
"""Checkpoints of strangers, read without running what is in them.

The ending of a file's name says how it is written: ``.safetensors``,
``.pkl`` (arrays, for detectron2), anything else by :func:`torch.save`.
"""
import argparse
import json
import os.path as osp
import pickle
from typing import IO, Any

import torch

from mmloc.utils.checkpoint import explain_refusal
from mmloc.utils.files import atomic_write

from .pickles import dump_arrays, load_arrays

#: Where the notes of a checkpoint are in a file of safetensors.
_META = 'mmloc'


def ending(path: str) -> str:
    """Tell how a file is written.

    Args:
        path (str): The file.

    Returns:
        str: '.safetensors', '.pkl', or '.pth' for all others.
    """
    suffix = osp.splitext(path)[1].lower()
    return suffix if suffix in ('.safetensors', '.pkl') else '.pth'


def read_checkpoint(path: str, trust: bool = False) -> dict:
    """Read a checkpoint to the CPU.

    A checkpoint is a pickle, which may call any function while it is read.
    Accepted are tensors, plain containers, what mmengine stores, and
    :class:`argparse.Namespace`, in which many projects keep their options:
    it only holds them; of a ``.pkl`` arrays and plain containers. Files of
    safetensors can hold nothing else.

    Args:
        path (str): The file.
        trust (bool): Whether to accept every pickle, and so to run whatever
            the author of the file has put there. Defaults to False.

    Returns:
        dict: What was saved; ``state_dict`` and ``meta`` of safetensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or no checkpoint, or needs
            ``trust``.
        RuntimeError: If safetensors is needed and not installed.
    """
    kind = ending(path)
    if kind == '.safetensors':
        _safetensors()
    try:
        with open(path, 'rb') as file:
            if kind == '.safetensors':
                content = _read_safetensors(file)
            elif kind == '.pkl':
                content = load_arrays(file, trust)
            else:
                with torch.serialization.safe_globals([argparse.Namespace]):
                    content = torch.load(
                        file, map_location='cpu', weights_only=not trust)
    except OSError:
        raise
    except Exception as error:  # the readers have no error of their own
        raise ValueError(_explain(path, error)) from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path!r} holds a {type(content).__name__}, but a checkpoint is '
            'a dict with the weights: give the checkpoint of a training')
    return content


def write_checkpoint(checkpoint: dict, path: str,
                     overwrite: bool = False) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        checkpoint (dict): What is saved. For safetensors these are weights
            by name, or ``state_dict`` and ``meta``.
        path (str): Where the file shall be; its ending says how it is
            written.
        overwrite (bool): Whether a file that is there is replaced. Defaults
            to False.

    Raises:
        ValueError: If there is a file and ``overwrite`` is not given.
        RuntimeError: If safetensors is needed and not installed.
    """
    write = {
        '.safetensors': _write_safetensors,
        '.pkl': dump_arrays,
        '.pth': torch.save
    }[ending(path)]
    with atomic_write(path, overwrite) as file:
        write(checkpoint, file)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise RuntimeError(
            'files that end in .safetensors need the package safetensors, '
            'which is not installed: run "pip install safetensors" or take '
            'another ending') from error
    return safetensors


def _read_safetensors(file: IO[bytes]) -> dict:
    package = _safetensors()
    with package.safe_open(file.name, framework='pt') as content:
        meta = json.loads((content.metadata() or {}).get(_META, '{}'))
        state = {name: content.get_tensor(name) for name in content.keys()}
    return dict(meta=meta, state_dict=state)


def _write_safetensors(checkpoint: dict, file: IO[bytes]) -> None:
    state = checkpoint.get('state_dict', checkpoint)
    # Copies, since tensors that share memory are refused.
    state = {name: tensor.clone(memory_format=torch.contiguous_format)
             for name, tensor in state.items()}
    meta = json.dumps(checkpoint.get('meta', {}))
    # transformers asks for the format.
    file.write(_safetensors().torch.save(
        state, metadata={'format': 'pt', _META: meta}))


def _explain(path: str, error: Exception) -> str:
    """Say why a file is not read, and what to do."""
    refused = explain_refusal(error)
    if refused:
        return (f'{path!r} {refused}; if you trust its author, allow it by '
                '--trust, otherwise get the weights from another source')
    text = str(error) or type(error).__name__
    if isinstance(error, pickle.UnpicklingError):
        text = 'no file of torch.save'  # torch's text advises to trust it
    return (f'{path!r} is damaged or no checkpoint ({text.splitlines()[0]}); '
            'compare its size with that of its source')
