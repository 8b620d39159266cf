# Copyright (c) mmloc contributors. All rights reserved.
import json
import os.path as osp
import re

from mmengine import fileio

from .image_names import IMG_SUFFIXES
from .image_table import ImageTable
from .index_cache import IndexCache, file_stamp

#: ``path/to/name.jpg 17``: the path reaches up to the last image suffix that
#: a blank or the line's end follows, so that paths may contain blanks.
_PATH_WITH_SUFFIX = re.compile(
    r'(.*(?:' + '|'.join(map(re.escape, IMG_SUFFIXES)) + r'))(?:\s.*)?$',
    re.IGNORECASE)


def read_list(ann_file: str, prefix: str,
              backend_args: dict | None = None) -> ImageTable:
    """Read a text list or a COCO json, or what was kept of it.

    Args:
        ann_file (str): The list, that exists; see ``LIST_SUFFIXES``.
        prefix (str): What :func:`~.image_sources.image_prefix` returns.
        backend_args (dict, optional): Of :mod:`mmengine.fileio`, for remote
            lists. Defaults to None.

    Returns:
        ImageTable: The images that it names, in its order.

    Raises:
        ValueError: The list is damaged, or names no image.
    """
    reader = _READERS[osp.splitext(ann_file)[1].lower()]
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


_READERS = {'.txt': _read_txt, '.json': _read_coco}
#: What lists end in.
LIST_SUFFIXES = (*_READERS, )
