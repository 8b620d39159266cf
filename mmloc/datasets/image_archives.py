# Copyright (c) mmloc contributors. All rights reserved.
import os.path as osp
from collections.abc import Iterable
from itertools import chain

from .archive_index import data_file
from .archives import (
    expand_pattern,
    is_pattern,
    open_archive,
    scheme_of,
    split_archive_path,
    strip_scheme,
)
from .image_names import IMG_SUFFIXES, is_image
from .image_table import ImageTable
from .index_cache import IndexCache, file_stamp
from .packed_names import PackedNames, encode


def read_archives(source: str, prefix: str) -> ImageTable:
    """List the images of archives, by sorted names.

    What a folder's reader passes over is passed over here too, and so is the
    ``__MACOSX`` folder of hidden files. Keys of an LMDB need no suffix.

    Args:
        source (str): An archive, a folder in one, or several of them, see
            :func:`~.archives.expand_pattern`.
        prefix (str): What :func:`~.image_sources.image_prefix` returns.

    Returns:
        ImageTable: The images.

    Raises:
        FileNotFoundError: An archive is missing.
        ValueError: An archive is damaged, or none holds an image.
    """
    source = strip_scheme(source).rstrip('/')
    several = is_pattern(source)
    if several:
        paths, folder = expand_pattern(source), ''
    else:
        path, folder = split_archive_path(source)
        paths = [path]
    cache = IndexCache('archives', source)
    stamp = [[path, *file_stamp(data_file(path))] for path in paths]
    arrays = cache.load(stamp.__eq__)
    if arrays is not None:
        return ImageTable.from_arrays(prefix, arrays)
    # Members of several archives are named with that which they are in.
    root = osp.join(strip_scheme(prefix), '')
    names = PackedNames.pack(
        chain.from_iterable(
            _images(
                path, encode(osp.join(folder, '')),
                encode(f'{path.removeprefix(root)}/') if several else b'')
            for path in paths))
    if not len(names):
        raise ValueError(
            f'Found 0 images in {f"{folder}/" if folder else "all"!r} of the '
            f'{scheme_of(paths[0])} {paths[0]!r}, which holds '
            f'{_content(paths[0])}, expected files that end in '
            f'{" ".join(IMG_SUFFIXES)} (any case); check data_prefix.')
    table = ImageTable(prefix, names)
    cache.save(stamp, table.arrays())
    return table


def _images(path: str, folder: bytes, start: bytes) -> Iterable[bytes]:
    """Names of an archive's images, ``start`` in place of the folder."""
    names = iter(open_archive(path))
    if folder:
        names = (name.removeprefix(folder) for name in names
                 if name.startswith(folder))
    if scheme_of(path) != 'lmdb':
        names = filter(is_image, names)
    return map(start.__add__, names) if start else names


def _content(path: str) -> str:
    """Say what an archive holds."""
    names = [name.decode(errors='replace') for name in open_archive(path)]
    shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
    return shown or 'nothing'
