# Copyright (c) mmloc contributors. All rights reserved.
"""How checkpoints are written, and which one a training can go on from."""
import glob
import os
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from mmloc.utils.checkpoint import explain_refusal
from mmloc.utils.files import sync_folder

#: Names of what a training saves to go on from.
_PATTERNS = ('epoch_*.pth', 'iter_*.pth', 'interrupted.pth')
_NEEDED = ('state_dict', 'optimizer', 'message_hub')
#: What keeps the weights of a file and leaves the rest.
_CONVERTER = 'tools/model_tools/convert_checkpoint.py'


class CheckpointWriteError(RuntimeError):
    """A checkpoint could not be written; the files before it are whole."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file that appears under its name only when it is complete.

    Args:
        path (Path): The file; one that is there is replaced.

    Yields:
        Path: Where to write it. Then it is flushed to the disk and renamed.

    Raises:
        CheckpointWriteError: It could not be written; a file of this name is
            left as it was.
    """
    # One name for all: what a kill leaves is replaced by the next save.
    temporary = path.with_name('.checkpoint.tmp')
    try:
        yield temporary
        with temporary.open('rb+') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(str(path.parent))
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise CheckpointWriteError(
            f'{str(path)!r} cannot be written ({error.strerror or error}); '
            'make room or check the disk, the files before it are kept'
        ) from error


def check_readable(path: str, thorough: bool = True) -> None:
    """Check that a checkpoint can be loaded, without loading its tensors.

    Args:
        path (str): A local file.
        thorough (bool): Whether to compare all of it with its checksums.
            Defaults to True.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or was not written by ``torch.save``.
    """
    _open(path, thorough)


def check_resumable(path: str, thorough: bool = True) -> None:
    """Check that a training can go on from a checkpoint.

    Args:
        path (str): A local file.
        thorough (bool): As for :func:`check_readable`. Defaults to True.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or lacks what is more than weights.
    """
    checkpoint = _open(path, thorough)
    missing = [key for key in _NEEDED if key not in checkpoint]
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    missing += [key for key in ('epoch', 'iter') if key not in meta]
    if missing:
        raise ValueError(
            f'checkpoint {path!r} has no {", ".join(missing)}: it holds '
            'weights but not the state of a training; start a new training '
            'from it with --load-from in place of --resume')


def find_checkpoint(
        work_dir: str,
        filename_tmpl: str | None = None) -> tuple[str | None, list[str]]:
    """Find the newest checkpoint that a training can go on from.

    The one that ``last_checkpoint`` names comes first; then those beside it
    and in the folder itself, which may have been moved since.

    Args:
        work_dir (str): The folder of the training.
        filename_tmpl (str, optional): That of ``CheckpointHook``, if the
            files are not called ``epoch_*.pth`` or ``iter_*.pth``. Defaults
            to None.

    Returns:
        tuple: Its path, None if none has been saved, or the address (with
        ``://``) that ``last_checkpoint`` names, unseen; and a sentence for
        each newer one that cannot be used.

    Raises:
        ValueError: There are checkpoints and none can be used.
    """
    folders, candidates, notes = [Path(work_dir)], [], []
    marker = folders[0] / 'last_checkpoint'
    if marker.is_file() and (marked := marker.read_text().strip()):
        if '://' in marked:
            return marked, []
        candidates.append(Path(marked))
        folders.append(candidates[0].parent)
        # A folder that was moved or copied goes on from its own files.
        if (own := folders[0] / candidates[0].name).is_file():
            candidates.insert(0, own)
    candidates = list(dict.fromkeys(
        candidates + _saved(folders, filename_tmpl)))
    for path in candidates:
        try:
            check_resumable(str(path))
        except (FileNotFoundError, ValueError) as error:
            notes.append(str(error))
        else:
            return str(path), notes
    if candidates:
        raise ValueError(
            f'none of the {len(candidates)} checkpoints of {work_dir!r} can '
            f'be resumed; the newest: {notes[0]}')
    return None, notes


def _saved(folders: list[Path], filename_tmpl: str | None) -> list[Path]:
    """List what looks by its name like a checkpoint, newest first."""
    patterns = list(_PATTERNS)
    if filename_tmpl:
        plain = re.split(r'\{[^{}]*\}', filename_tmpl)
        patterns.append('*'.join(glob.escape(part) for part in plain))
    paths = {path for folder in folders for pattern in patterns
             for path in folder.glob(pattern)}
    return sorted(
        paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _open(path: str, thorough: bool) -> dict:
    """Read a checkpoint, whose tensors stay in the file."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'checkpoint {path!r} is not a file; train it first, or give '
            'the path or address (https://...) of another one')
    modern = zipfile.is_zipfile(path)
    try:
        if modern and thorough:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f'{damaged} does not agree with its checksum')
        checkpoint = torch.load(
            path, map_location='cpu', weights_only=True, mmap=modern)
    except Exception as error:
        refused = explain_refusal(error)
        if refused:
            raise ValueError(
                f'checkpoint {path!r} {refused}; write its weights to another '
                f'file by "python {_CONVERTER} {path} OUT --to mmloc" (of a '
                'detector --to mmdet), with --trust only if you trust its '
                'author, and give that one') from error
        found = str(error).strip().partition('\n')[0] or type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            found = 'no file of torch.save'  # torch's text is about trust
        raise ValueError(
            f'checkpoint {path!r} ({Path(path).stat().st_size} bytes) cannot '
            'be read, it is cut off, damaged or no checkpoint at all '
            f'({found[:120]}); give another one, or copy it once more'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'checkpoint {path!r} holds a {type(checkpoint).__name__}, '
            'expected a dict of weights; give another one')
    return checkpoint
