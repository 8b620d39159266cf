# Copyright (c) mmloc contributors. All rights reserved.
import os
import os.path as osp

from mmengine import fileio

from .archives import has_scheme, scheme_of, split_archive_path
from .image_table import ImageTable

#: How many files ``check_exists='sample'`` looks at.
_NUM_SAMPLED = 64


def check_images_exist(infos: ImageTable, source: str, mode: str,
                       backend_args: dict | None = None) -> None:
    """Raise one clear error when a source names files that are not there.

    Args:
        infos (ImageTable): What :func:`~.image_sources.read_images` returned.
        source (str): Name of the source for the message.
        mode (str): ``'sample'`` looks at up to 64 files spread evenly over
            the list, the first and the last among them, which finds a wrong
            prefix at once and costs nothing on a million files; ``'all'``
            looks at every file; ``'none'`` at no file.
        backend_args (dict, optional): Of :mod:`mmengine.fileio`. Defaults to
            None.

    Raises:
        FileNotFoundError: A file is missing.
    """
    if mode not in ('sample', 'all', 'none'):
        raise ValueError(f"check_exists is {mode!r}, expected 'sample', "
                         "'all' or 'none'.")
    if mode == 'none':
        return
    num = len(infos) if mode == 'all' else min(len(infos), _NUM_SAMPLED)
    picks = [i * (len(infos) - 1) // max(num - 1, 1) for i in range(num)]
    paths = [infos[i]['img_path'] for i in picks]
    missing = [
        path for path in paths
        if not fileio.isfile(path, backend_args=backend_args)
    ]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {num} files looked at, out of '
            f'{len(infos)} named by {source!r}, do not exist, the first being '
            f'{missing[0]!r}: {nearest_folder(missing[0])}; check data_root '
            'and data_prefix.')


def nearest_folder(path: str) -> str:
    """Say which part of a path exists and what is there.

    Args:
        path (str): Path of what does not exist.

    Returns:
        str: Part of a sentence.
    """
    if has_scheme(path):
        file = split_archive_path(path)[0]
        return f'the {scheme_of(file)} {file!r} exists and has no such member'
    if '://' in path:
        return 'its server says so'
    folder = osp.dirname(osp.abspath(path))
    while not osp.isdir(folder):
        folder = osp.dirname(folder)
    names = sorted(os.listdir(folder))
    shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
    return f'the folder {folder!r} exists and holds {shown or "nothing"}'
