# Copyright (c) mmloc contributors. All rights reserved.
import os
import os.path as osp
from collections.abc import Iterable

from mmengine import fileio

from .image_checks import nearest_folder
from .image_names import IMG_SUFFIXES, is_image
from .image_table import ImageTable
from .index_cache import IndexCache, file_stamp
from .packed_names import encode


def read_folder(folder: str, backend_args: dict | None = None) -> ImageTable:
    """List the images of a folder and of all folders below it.

    The order is that of the sorted relative paths, so it does not depend on
    the file system. Names that begin with a dot are passed over (``._x.jpg``
    is no image) and links to folders are followed, each folder once.

    Args:
        folder (str): The folder.
        backend_args (dict, optional): Of :mod:`mmengine.fileio`, for remote
            folders. Defaults to None.

    Returns:
        ImageTable: Its images.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no image.
    """
    if '://' in folder or backend_args:
        names = sorted(_walk_remote(folder, backend_args))
        return ImageTable.of(folder, _some(names, folder))
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'The image folder {folder!r} does not exist or is no folder: '
            f'{nearest_folder(folder)}; check data_root and data_prefix.')
    cache = IndexCache('folder', folder)
    arrays = cache.load(lambda stamp: _folder_stamps(
        folder, [row[0] for row in stamp]) == stamp)
    if arrays is not None:
        return ImageTable.from_arrays(folder, arrays)
    stamp, names = _walk(folder)
    table = ImageTable.of(folder, _some(sorted(names), folder))
    cache.save(stamp, table.arrays())
    return table


def _walk(folder: str) -> tuple[list[list], list[str]]:
    """Folders with their stamps, and images, by relative paths."""
    # The stamp of a folder comes first: one that changes while it is being
    # read has another one later.
    stamps, names, seen = _folder_stamps(folder, ['.']), [], set()
    for root, dirs, files in os.walk(folder, followlinks=True):
        # Two links to each other would be walked for ever.
        real = osp.realpath(root)
        if real in seen:
            dirs.clear()
            continue
        seen.add(real)
        dirs[:] = sorted(d for d in dirs if not d.startswith('.'))
        start = osp.relpath(root, folder)
        start = '' if start == '.' else start + os.sep
        stamps += _folder_stamps(folder, [start + name for name in dirs])
        names += [
            start + name for name in sorted(files)
            if name.lower().endswith(IMG_SUFFIXES) and name[0] != '.'
        ]
    return stamps, names


def _folder_stamps(folder: str, names: list[str]) -> list[list]:
    """Folders with their stamps, -1 for what is gone."""
    stamps = []
    for name in names:
        try:
            stamps.append([name, *file_stamp(osp.join(folder, name))])
        except OSError:
            stamps.append([name, -1, -1])
    return stamps


def _walk_remote(folder: str, backend_args: dict | None) -> Iterable[str]:
    for name in fileio.list_dir_or_file(
            folder, list_dir=False, recursive=True,
            backend_args=backend_args):
        if is_image(encode(name)):
            yield name


def _some(names: list[str], folder: str) -> list[str]:
    """The names of a folder, if there is one at all."""
    if not names:
        raise ValueError(
            f'Found 0 images in {folder!r} and the folders below it, expected '
            f'files that end in {" ".join(IMG_SUFFIXES)} (any case); check '
            'data_root and data_prefix.')
    return names
