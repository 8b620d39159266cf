# Copyright (c) mmloc contributors. All rights reserved.
"""Lists of images without labels: a folder, a zip, a text file, a COCO json.

Each reader returns a list of dicts with ``img_path`` (str) and, where the
source knows them, ``height`` and ``width`` (int, pixels). Labels are ignored.
"""
import json
import os
import os.path as osp
import re

from mmengine import fileio

from .zip_images import ZIP_PREFIX, find_zip, open_zip, split_zip_path

#: Suffixes taken for images, compared without regard to case.
IMG_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff',
                '.ppm', '.pgm')
#: ``path/to/name.jpg 17``: the path reaches up to the last image suffix that
#: a blank or the line's end follows, so that paths may contain blanks.
_PATH_WITH_SUFFIX = re.compile(
    r'(.*(?:' + '|'.join(map(re.escape, IMG_SUFFIXES)) + r'))(?:\s.*)?$',
    re.IGNORECASE)
#: A part of a zip member's name; ``.`` and ``..`` are taken as they are.
_HIDDEN = re.compile(r'\.(?!\.?$)|__MACOSX$')
#: How many files ``check_exists='sample'`` looks at.
_NUM_SAMPLED = 64


def read_images(ann_file: str, img_prefix: str) -> list[dict]:
    """Read the images of a source, chosen by the suffix of ``ann_file``.

    Args:
        ann_file (str): ``''`` for the folder tree or the zip ``img_prefix``,
            a ``.txt`` list, a COCO ``.json`` or a ``.zip``.
        img_prefix (str): Folder that relative file names start from; it may
            be a zip or a folder in a zip. Of no use with a ``.zip``.

    Returns:
        list[dict]: ``img_path`` and, from a json, ``height`` and ``width``.

    Raises:
        FileNotFoundError: ``ann_file`` or the folder is missing.
        ValueError: The source is of another kind, or holds no image.
    """
    img_prefix = image_prefix(ann_file, img_prefix)
    if not ann_file:
        if img_prefix.startswith(ZIP_PREFIX):
            return read_zip(ann_file, img_prefix)
        return read_folder(img_prefix)
    if osp.isdir(ann_file):
        raise ValueError(
            f'ann_file {ann_file!r} is a folder, expected a .txt list or a '
            'COCO .json; leave ann_file empty and name the folder by '
            'data_root or data_prefix to read a folder of images.')
    suffix = osp.splitext(ann_file)[1].lower()
    readers = {'.txt': read_txt, '.json': read_coco, '.zip': read_zip}
    if suffix not in readers:
        raise ValueError(
            f'ann_file {ann_file!r} ends in {suffix!r}, expected a .txt list, '
            "a COCO .json or a .zip ('' reads a folder of images).")
    if not osp.isfile(ann_file):
        raise FileNotFoundError(
            f'The image list {ann_file!r} does not exist: '
            f'{_nearest_folder(ann_file)}; check ann_file and data_root.')
    return readers[suffix](ann_file, img_prefix)


def image_prefix(ann_file: str, img_prefix: str) -> str:
    """Say what the paths of a source's images begin with.

    Args:
        ann_file (str): As for :func:`read_images`.
        img_prefix (str): As for :func:`read_images`.

    Returns:
        str: ``img_prefix``, or ``zip://`` and the path of the zip, or of the
        folder in it, if the images lie in a zip.
    """
    if ann_file.lower().endswith('.zip'):
        img_prefix = ann_file
    if find_zip(img_prefix) is None:
        return img_prefix
    return ZIP_PREFIX + img_prefix.removeprefix(ZIP_PREFIX).rstrip('/')


def image_name(img_path: str, prefix: str) -> str:
    """Name an image in a way that does not depend on where the set lies.

    Args:
        img_path (str): Path of the image.
        prefix (str): What :func:`image_prefix` returned for its source.

    Returns:
        str: POSIX path relative to the folder or the zip of the images; of
        an image that a list names elsewhere, its path as it is.
    """
    start = osp.join(prefix, '') if prefix else ''
    return img_path.removeprefix(start).replace(os.sep, '/')


def image_path(name: str, prefix: str) -> str:
    """Undo :func:`image_name`.

    Args:
        name (str): Name of an image.
        prefix (str): What :func:`image_prefix` returns.

    Returns:
        str: Path by which the image is read.
    """
    # Names in a zip are no paths: one may begin with a slash.
    if prefix.startswith(ZIP_PREFIX):
        return f'{prefix}/{name}'
    return osp.join(prefix, name)


def read_folder(folder: str) -> list[dict]:
    """List the images of a folder and of all folders below it.

    The order is that of the sorted relative paths, so it does not depend on
    the file system. Names that begin with a dot are passed over (``._x.jpg``
    is no image) and links to folders are followed, each folder once.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'The image folder {folder!r} does not exist or is no folder: '
            f'{_nearest_folder(folder)}; check data_root and data_prefix.')
    paths, seen = [], set()
    for root, dirs, files in os.walk(folder, followlinks=True):
        # Two links to each other would be walked for ever.
        real = osp.realpath(root)
        if real in seen:
            dirs.clear()
            continue
        seen.add(real)
        dirs[:] = sorted(d for d in dirs if not d.startswith('.'))
        paths += [
            osp.join(root, name) for name in files
            if name.lower().endswith(IMG_SUFFIXES) and name[0] != '.'
        ]
    if not paths:
        raise ValueError(
            f'Found 0 images in {folder!r} and the folders below it, expected '
            f'files that end in {" ".join(IMG_SUFFIXES)} (any case); check '
            'data_root and data_prefix.')
    return [dict(img_path=path) for path in sorted(paths)]


def read_zip(ann_file: str, img_prefix: str) -> list[dict]:
    """List the images of a zip, or of a folder in it, by sorted names.

    What a folder's reader passes over is passed over here too, and so is the
    ``__MACOSX`` folder of hidden files.
    """
    path, folder = split_zip_path(img_prefix)
    folder = f'{folder}/' if folder else ''
    names = [name.decode() for name in open_zip(path)]
    infos = [
        dict(img_path=f'{ZIP_PREFIX}{path}/{name}') for name in names
        if name.startswith(folder) and name.lower().endswith(IMG_SUFFIXES)
        and not any(_HIDDEN.match(part)
                    for part in name[len(folder):].split('/'))
    ]
    if not infos:
        shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
        raise ValueError(
            f'Found 0 images in {folder or "all"!r} of the zip {path!r}, '
            f'which holds {shown or "nothing"}, expected files that end in '
            f'{" ".join(IMG_SUFFIXES)} (any case); check data_prefix.')
    return infos


def read_txt(ann_file: str, img_prefix: str) -> list[dict]:
    """Read one path a line; a class label after the path is dropped.

    Blank lines and blanks around a line are passed over. What follows an
    image suffix and a blank is a label; a name without image suffix loses a
    trailing integer, as in ImageNet's ``n01440764/n01440764_10026 1``.
    """
    try:
        with open(ann_file, encoding='utf-8-sig') as f:
            lines = [line.strip() for line in f]
    except UnicodeDecodeError as error:
        raise ValueError(f'The image list {ann_file!r} is no UTF-8 text '
                         f'({error}); save it as UTF-8.') from error
    names = []
    for line in filter(None, lines):
        match = _PATH_WITH_SUFFIX.match(line)
        names.append(match[1] if match else re.sub(r'\s+\d+$', '', line))
    if not names:
        raise ValueError(f'The image list {ann_file!r} names 0 images, '
                         'expected one image path a line.')
    return [dict(img_path=image_path(name, img_prefix)) for name in names]


def read_coco(ann_file: str, img_prefix: str) -> list[dict]:
    """Read ``images[].file_name`` of a COCO json, and nothing else of it."""
    try:
        with open(ann_file, encoding='utf-8') as f:
            images = json.load(f)['images']
        infos = []
        for image in images:
            info = dict(img_path=image_path(image['file_name'], img_prefix))
            info.update({
                k: int(image[k])
                for k in ('height', 'width') if image.get(k) is not None
            })
            infos.append(info)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{ann_file!r} is not a COCO json '
            f'({type(error).__name__}: {error}), expected '
            '{"images": [{"file_name": ...}, ...]}.') from error
    if not infos:
        raise ValueError(f'The COCO json {ann_file!r} lists 0 images, '
                         'expected at least one entry in "images".')
    return infos


def check_images_exist(infos: list[dict], source: str, mode: str) -> None:
    """Raise one clear error when a source names files that are not there.

    Args:
        infos (list[dict]): What :func:`read_images` returned.
        source (str): Name of the source for the message.
        mode (str): ``'sample'`` looks at up to 64 files spread evenly over
            the list, the first and the last among them, which finds a wrong
            prefix at once and costs nothing on a million files; ``'all'``
            looks at every file; ``'none'`` at no file.

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
    missing = [
        infos[i]['img_path'] for i in picks
        if not fileio.isfile(infos[i]['img_path'])
    ]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {num} files looked at, out of '
            f'{len(infos)} named by {source!r}, do not exist, the first being '
            f'{missing[0]!r}: {_nearest_folder(missing[0])}; check data_root '
            'and data_prefix.')


def _nearest_folder(path: str) -> str:
    """Say which part of a path exists and what is there."""
    if path.startswith(ZIP_PREFIX):
        file = split_zip_path(path)[0]
        return f'the zip {file!r} exists and has no such member'
    folder = osp.dirname(osp.abspath(path))
    while not osp.isdir(folder):
        folder = osp.dirname(folder)
    names = sorted(os.listdir(folder))
    shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
    return f'the folder {folder!r} exists and holds {shown or "nothing"}'
