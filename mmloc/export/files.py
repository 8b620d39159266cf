# Copyright (c) mmloc contributors. All rights reserved.
"""Checkpoints of strangers, read without running what is in them."""
import argparse
import pickle
import re

import torch

from mmloc.utils.files import atomic_write


def read_checkpoint(path: str, trust: bool = False) -> dict:
    """Read a checkpoint to the CPU.

    A checkpoint is a pickle, which may call any function while it is read.
    Accepted are tensors, plain containers, what mmengine stores, and
    :class:`argparse.Namespace`, in which many projects keep their options:
    it only holds them.

    Args:
        path (str): The file.
        trust (bool): Whether to accept every pickle, and so to run whatever
            the author of the file has put there. Defaults to False.

    Returns:
        dict: What was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or no checkpoint, or needs
            ``trust``.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(
                path, map_location='cpu', weights_only=not trust)
    except OSError:
        raise
    except Exception as error:  # torch.load has no error of its own
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
        checkpoint (dict): What is saved.
        path (str): Where the file shall be.
        overwrite (bool): Whether a file that is there is replaced. Defaults
            to False.

    Raises:
        ValueError: If there is a file and ``overwrite`` is not given.
    """
    with atomic_write(path, overwrite) as file:
        torch.save(checkpoint, file)


def _explain(path: str, error: Exception) -> str:
    """Tell a file that asks for more than weights from a broken one."""
    text = str(error) or type(error).__name__
    if isinstance(error, pickle.UnpicklingError):
        refused = re.search(r'GLOBAL ([\w.]+)', text)
        if refused:
            return (
                f'{path!r} asks for {refused[1]} besides weights, and a file '
                'that may call functions can do anything to this computer '
                'while it is read; if you trust its author, allow it by '
                '--trust, otherwise get the weights from another source')
        text = 'no file of torch.save'  # torch's text advises to trust it
    return (f'{path!r} is damaged or no checkpoint ({text.splitlines()[0]}); '
            'compare its size with that of its source')
