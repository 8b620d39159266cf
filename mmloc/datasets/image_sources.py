# Copyright (c) mmloc contributors. All rights reserved.
"""Lists of images without labels.

A folder, archives, a text file or a COCO json becomes an :class:`ImageTable`;
labels are ignored. That of a long list is kept on disk, and made anew when
the source has changed, see :class:`~.index_cache.IndexCache`.
"""
import os.path as osp
import re

from mmengine import fileio

from .archives import (
    find_archive,
    has_scheme,
    is_pattern,
    scheme_of,
    strip_scheme,
)
from .image_archives import read_archives
from .image_checks import nearest_folder
from .image_folders import read_folder
from .image_lists import LIST_SUFFIXES, read_list
from .image_table import ImageTable


def read_images(ann_file: str, img_prefix: str,
                backend_args: dict | None = None) -> ImageTable:
    """Read the images of a source, chosen by the suffix of ``ann_file``.

    Args:
        ann_file (str): ``''`` for the folder tree or the archive
            ``img_prefix``, a ``.txt`` list, a COCO ``.json``, or an archive.
        img_prefix (str): Folder that relative file names start from; it may
            be an archive or a folder in one (``a.zip/train``), or name
            several (``train-{000..146}.tar``, ``train-*.tar``). Of no use
            where ``ann_file`` is an archive.
        backend_args (dict, optional): Of :mod:`mmengine.fileio`, for remote
            folders and lists. Defaults to None.

    Returns:
        ImageTable: The images.

    Raises:
        FileNotFoundError: ``ann_file`` or the folder is missing.
        ValueError: The source is of another kind, or holds no image.
    """
    prefix = image_prefix(ann_file, img_prefix)
    if has_scheme(prefix) and (not ann_file or _is_archive_name(ann_file)):
        return read_archives(ann_file or img_prefix, prefix)
    if not ann_file:
        return read_folder(prefix, backend_args)
    if osp.isdir(ann_file):
        raise ValueError(
            f'ann_file {ann_file!r} is a folder, expected a .txt list or a '
            'COCO .json; leave ann_file empty and name the folder by '
            'data_root or data_prefix to read a folder of images.')
    suffix = osp.splitext(ann_file)[1].lower()
    if suffix not in LIST_SUFFIXES and ('://' in ann_file
                                        or not _is_archive_name(ann_file)):
        raise ValueError(
            f'ann_file {ann_file!r} ends in {suffix!r}, expected a .txt list, '
            "a COCO .json, or on a disk a .zip, a .tar or a .lmdb ('' "
            'reads a folder of images).')
    if not fileio.exists(ann_file, backend_args=backend_args):
        raise FileNotFoundError(
            f'The image list {ann_file!r} does not exist: '
            f'{nearest_folder(ann_file)}; check ann_file and data_root.')
    return read_list(ann_file, prefix, backend_args)


def _is_archive_name(path: str) -> bool:
    return is_pattern(path) or scheme_of(path) is not None


def image_prefix(ann_file: str, img_prefix: str) -> str:
    """Say what the paths of a source's images begin with.

    Args:
        ann_file (str): As for :func:`read_images`.
        img_prefix (str): As for :func:`read_images`.

    Returns:
        str: ``img_prefix``, or ``zip://`` (or that of another archive) and
        the path of the archive, of the folder in it, or of the folder that
        holds several of them.
    """
    if ann_file and _is_archive_name(ann_file):
        img_prefix = ann_file
    path = strip_scheme(img_prefix).rstrip('/')
    if is_pattern(path):
        return f'{scheme_of(path)}://{_pattern_folder(path)}'
    archive = find_archive(path)
    if archive is None:
        return img_prefix
    return f'{scheme_of(archive)}://{path}'


def _pattern_folder(pattern: str) -> str:
    """The folder whose files a pattern is about."""
    return osp.dirname(re.split(r'[*?[{]', pattern)[0]) or '.'
