# Copyright (c) mmloc contributors. All rights reserved.
"""Lists of images without labels.

A folder, archives, a text file or a COCO json becomes an :class:`ImageTable`;
labels are ignored. That of a long list is kept on disk, and made anew when
the source has changed, see :class:`~.index_cache.IndexCache`.
"""
import json
import os
import os.path as osp
import re
from collections.abc import Iterable

from mmengine import fileio

from .archive_index import data_file
from .archives import (
    expand_pattern,
    find_archive,
    has_scheme,
    is_pattern,
    open_archive,
    scheme_of,
    split_archive_path,
    strip_scheme,
)
from .image_table import ImageTable
from .index_cache import IndexCache, file_stamp

#: Suffixes taken for images, compared without regard to case.
IMG_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff',
                '.ppm', '.pgm')
#: ``path/to/name.jpg 17``: the path reaches up to the last image suffix that
#: a blank or the line's end follows, so that paths may contain blanks.
_PATH_WITH_SUFFIX = re.compile(
    r'(.*(?:' + '|'.join(map(re.escape, IMG_SUFFIXES)) + r'))(?:\s.*)?$',
    re.IGNORECASE)
#: A part of a member's name; ``.`` and ``..`` are taken as they are.
_HIDDEN = re.compile(r'\.(?!\.?$)|__MACOSX$')
#: How many files ``check_exists='sample'`` looks at.
_NUM_SAMPLED = 64


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
        return _read_archives(ann_file or img_prefix, prefix)
    if not ann_file:
        return _read_folder(prefix, backend_args)
    if osp.isdir(ann_file):
        raise ValueError(
            f'ann_file {ann_file!r} is a folder, expected a .txt list or a '
            'COCO .json; leave ann_file empty and name the folder by '
            'data_root or data_prefix to read a folder of images.')
    suffix = osp.splitext(ann_file)[1].lower()
    readers = {'.txt': _read_txt, '.json': _read_coco}
    if suffix not in readers and ('://' in ann_file
                                  or not _is_archive_name(ann_file)):
        raise ValueError(
            f'ann_file {ann_file!r} ends in {suffix!r}, expected a .txt list, '
            "a COCO .json, or on a disk a .zip, a .tar or a .lmdb ('' "
            'reads a folder of images).')
    if not fileio.exists(ann_file, backend_args=backend_args):
        raise FileNotFoundError(
            f'The image list {ann_file!r} does not exist: '
            f'{_nearest_folder(ann_file)}; check ann_file and data_root.')
    return _read_list(readers[suffix], ann_file, prefix, backend_args)


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


def read_folder(folder: str) -> ImageTable:
    """List the images of a folder and of all folders below it.

    The order is that of the sorted relative paths, so it does not depend on
    the file system. Names that begin with a dot are passed over (``._x.jpg``
    is no image) and links to folders are followed, each folder once.

    Args:
        folder (str): The folder.

    Returns:
        ImageTable: Its images.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no image.
    """
    return _read_folder(folder)


def _read_folder(folder: str,
                 backend_args: dict | None = None) -> ImageTable:
    if '://' in folder or backend_args:
        names = sorted(_walk_remote(folder, backend_args))
        return ImageTable.of(folder, _some(names, folder))
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'The image folder {folder!r} does not exist or is no folder: '
            f'{_nearest_folder(folder)}; check data_root and data_prefix.')
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
        if name.lower().endswith(IMG_SUFFIXES) and not any(
                map(_HIDDEN.match, name.split('/'))):
            yield name


def _some(names: list[str], folder: str) -> list[str]:
    """The names of a folder, if there is one at all."""
    if not names:
        raise ValueError(
            f'Found 0 images in {folder!r} and the folders below it, expected '
            f'files that end in {" ".join(IMG_SUFFIXES)} (any case); check '
            'data_root and data_prefix.')
    return names


def _read_archives(source: str, prefix: str) -> ImageTable:
    """List the images of archives, by sorted names.

    What a folder's reader passes over is passed over here too, and so is the
    ``__MACOSX`` folder of hidden files. Keys of an LMDB need no suffix.
    """
    source = strip_scheme(source).rstrip('/')
    if is_pattern(source):
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
    start = osp.join(strip_scheme(prefix), '')
    names = [
        (f'{path.removeprefix(start)}/' if is_pattern(source) else '') + name
        for path in paths
        for name in _members(path, f'{folder}/' if folder else '')
    ]
    if not names:
        raise ValueError(
            f'Found 0 images in {f"{folder}/" if folder else "all"!r} of the '
            f'{scheme_of(paths[0])} {paths[0]!r}, which holds '
            f'{_content(paths[0])}, expected files that end in '
            f'{" ".join(IMG_SUFFIXES)} (any case); check data_prefix.')
    table = ImageTable.of(prefix, names)
    cache.save(stamp, table.arrays())
    return table


def _members(path: str, folder: str) -> Iterable[str]:
    """Names of an archive's images, relative to a folder in it."""
    keys = scheme_of(path) == 'lmdb'
    for member in open_archive(path):
        name = member.decode(errors='surrogateescape')
        if not name.startswith(folder):
            continue
        name = name[len(folder):]
        if keys or (name.lower().endswith(IMG_SUFFIXES)
                    and not any(map(_HIDDEN.match, name.split('/')))):
            yield name


def _content(path: str) -> str:
    """Say what an archive holds."""
    names = [name.decode(errors='replace') for name in open_archive(path)]
    shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
    return shown or 'nothing'


def _read_list(reader, ann_file: str, prefix: str,
               backend_args: dict | None) -> ImageTable:
    """Read a list, or what was kept of it."""
    local = backend_args is None and '://' not in ann_file
    cache = IndexCache(reader.__name__, ann_file)
    stamp = [['', *file_stamp(ann_file)]] if local else None
    arrays = cache.load(stamp.__eq__) if local else None
    if arrays is None:
        table = ImageTable.of('', *reader(ann_file, backend_args))
        arrays = table.arrays()
        if local:
            cache.save(stamp, arrays)
    return ImageTable.from_arrays(prefix, arrays)


def _read_txt(ann_file: str, backend_args: dict | None
              ) -> tuple[list[str], None]:
    """Read one path a line; a class label after the path is dropped.

    Blank lines and blanks around a line are passed over. What follows an
    image suffix and a blank is a label; a name without image suffix loses a
    trailing integer, as in ImageNet's ``n01440764/n01440764_10026 1``.
    """
    try:
        text = fileio.get_text(ann_file, 'utf-8-sig', backend_args)
    except UnicodeDecodeError as error:
        raise ValueError(f'The image list {ann_file!r} is no UTF-8 text '
                         f'({error}); save it as UTF-8.') from error
    names = []
    for line in filter(None, map(str.strip, text.split('\n'))):
        if line.endswith('.JPEG'):  # most often, and the pattern is slow
            names.append(line)
            continue
        match = _PATH_WITH_SUFFIX.match(line)
        names.append(match[1] if match else re.sub(r'\s+\d+$', '', line))
    if not names:
        raise ValueError(f'The image list {ann_file!r} names 0 images, '
                         'expected one image path a line.')
    return names, None


def _read_coco(ann_file: str, backend_args: dict | None
               ) -> tuple[list[str], list[tuple[int, int]]]:
    """Read ``images[].file_name`` of a COCO json, and nothing else of it."""
    try:
        images = json.loads(
            fileio.get_text(ann_file, backend_args=backend_args))['images']
        names = [str(image['file_name']) for image in images]
        sizes = [(int(image.get('height') or 0), int(image.get('width') or 0))
                 for image in images]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{ann_file!r} is not a COCO json '
            f'({type(error).__name__}: {error}), expected '
            '{"images": [{"file_name": ...}, ...]}.') from error
    if not names:
        raise ValueError(f'The COCO json {ann_file!r} lists 0 images, '
                         'expected at least one entry in "images".')
    return names, sizes


def check_images_exist(infos: ImageTable, source: str, mode: str,
                       backend_args: dict | None = None) -> None:
    """Raise one clear error when a source names files that are not there.

    Args:
        infos (ImageTable): What :func:`read_images` returned.
        source (str): Name of the source for the message.
        mode (str): ``'sample'`` looks at up to 64 files spread evenly over
            the list, the first and the last among them, which finds a wrong
            prefix at once and costs nothing on a million files; ``'all'``
            looks at every file; ``'none'`` at no file.
        backend_args (dict, optional): As for :func:`read_images`. Defaults
            to None.

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
            f'{missing[0]!r}: {_nearest_folder(missing[0])}; check data_root '
            'and data_prefix.')


def _nearest_folder(path: str) -> str:
    """Say which part of a path exists and what is there."""
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
