# Copyright (c) mmloc contributors. All rights reserved.
"""Proposals as SoCo and DETReg keep them, by the stem of the file name.

======= ==================================================================
soco    a json ``{stem: [[x, y, w, h], ...]}``; SoCo (arXiv 2106.02637)
detreg  a folder with ``stem.npy`` for each image, (n, 4) float32, xyxy;
        DETReg (arXiv 2106.04550)
======= ==================================================================

The stem is the file name up to its first dot. Neither folders nor image
sizes are stored, so that reading takes the list of images. Pixels are those
of the image as stored, without its EXIF orientation; x2 is x + w, the last
column of the box.

Readers yield :class:`Proposals` one at a time, to be passed on to
:func:`write_proposals`; writers take a :class:`ProposalFile`.
"""
import json
import os
import os.path as osp
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from zipfile import BadZipFile

import numpy as np

from mmloc.utils.files import atomic_write, full_disk_named

from .file_layout import Proposals
from .json_stream import opened_json, to_xywh, to_xyxy

#: name -> (width, height, EXIF orientation) of the image as stored.
SizeOf = Callable[[str], tuple[int, int, int]]


def stem_of(name: str) -> str:
    """The key of an image in ``soco`` and ``detreg``.

    Args:
        name (str): Path of the image.

    Returns:
        str: The file name up to its first dot.
    """
    return name.rsplit('/', 1)[-1].split('.')[0]


def read_soco(path: str, names: Iterable[str],
              size_of: SizeOf) -> Iterator[Proposals]:
    """Read SoCo's json, one image at a time.

    Args:
        path (str): The json. It is never held as a whole.
        names (Iterable[str]): All images, as paths relative to their root.
        size_of (SizeOf): Gives the size and the orientation of an image.

    Yields:
        Proposals: In the order of the json; entries of images that ``names``
        does not hold are passed over, with a warning at the end.

    Raises:
        ValueError: The json is not of this form, lacks an image of
            ``names``, or two of these have the same stem.
    """
    waiting, num_strange = _by_stem(names), 0
    for stem, boxes in _soco_entries(path):
        name = waiting.pop(stem, None)
        if name is None:
            num_strange += 1
        else:
            yield turned(name, boxes, size_of(name))
    if waiting:
        raise ValueError(
            f'{path!r} holds no entry for {len(waiting)} of the images, the '
            f'first being {next(iter(waiting.values()))!r}; name the images '
            'that it was made from.')
    if num_strange:
        warnings.warn(
            f'{num_strange} entries of {path!r} belong to none of the images '
            'named and were passed over.', stacklevel=2)


def _soco_entries(path: str) -> Iterator[tuple[str, np.ndarray]]:
    expected = "SoCo's json {stem: [[x, y, w, h], ...]}"
    with opened_json(path, expected) as stream:
        for stem in stream.members():
            yield stem, to_xyxy(stream.value())


def read_detreg(folder: str, names: Iterable[str],
                size_of: SizeOf) -> Iterator[Proposals]:
    """Read a folder of .npy files, the cache of DETReg.

    Args:
        folder (str): With ``stem.npy`` for each image.
        names (Iterable[str]): All images, as paths relative to their root.
        size_of (SizeOf): Gives the size and the orientation of an image.

    Yields:
        Proposals: In the order of ``names``.

    Raises:
        FileNotFoundError: An image has no file.
        ValueError: A file is not of this form, or two images have the same
            stem.
    """
    for stem, name in _by_stem(names).items():
        path = osp.join(folder, f'{stem}.npy')
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'{path!r} with the boxes of the image {name!r} does not '
                'exist; name the images that the folder was made from.')
        try:
            boxes = np.load(path)
        except (ValueError, EOFError, BadZipFile) as error:
            raise ValueError(f'{path!r} is no array of numbers ({error}); '
                             'make it again.') from error
        found = (getattr(boxes, 'shape', ()), getattr(boxes, 'dtype', None))
        good = found[0] == (0, ) or (len(found[0]) == 2 and found[0][1] == 4)
        if not good or found[1].kind not in 'fiu':
            raise ValueError(
                f'{path!r} holds an array of shape {found[0]} and type '
                f'{found[1]}, expected numbers (n, 4); make it again.')
        yield turned(name, boxes, size_of(name))


def write_soco(path: str, proposals: Iterable[Proposals],
               overwrite: bool = False) -> None:
    """Write SoCo's json, which keeps neither folders nor image sizes.

    Boxes are written as they are: give those of :func:`as_stored`.

    Args:
        path (str): The json.
        proposals (Iterable[Proposals]): The images.
        overwrite (bool): Whether to replace a file. Defaults to False.

    Raises:
        ValueError: Two images have the same stem, or there is a file and
            ``overwrite`` is not given.
    """
    seen = {}
    with atomic_write(path, overwrite, 'w') as file:
        for i, record in enumerate(proposals):
            stem = _add_stem(seen, record.name)
            file.write(f'{"," if i else "{"}\n{json.dumps(stem)}: '
                       f'{json.dumps(to_xywh(record.boxes))}')
        file.write('\n}\n' if seen else '{}\n')


def refuse_existing_folder(folder: str) -> None:
    """Raise before work is done that could not be stored.

    Args:
        folder (str): Where :func:`write_detreg` shall write.

    Raises:
        ValueError: There is something.
    """
    if osp.lexists(folder):
        raise ValueError(
            f'{folder!r} is there already, and a folder of .npy files is '
            'neither replaced nor added to: give the name of a new folder.')


def write_detreg(folder: str, proposals: Iterable[Proposals]) -> None:
    """Write a folder of .npy files, which keep neither folders nor sizes.

    Boxes are written as they are: give those of :func:`as_stored`.

    Args:
        folder (str): A new folder; it appears when it is complete.
        proposals (Iterable[Proposals]): The images.

    Raises:
        ValueError: Two images have the same stem, or the folder is there.
        RuntimeError: The disk is full.
    """
    refuse_existing_folder(folder)
    parent = osp.dirname(osp.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    seen = {}
    with tempfile.TemporaryDirectory(
            dir=parent, prefix=f'.{osp.basename(folder)}.') as temporary:
        whole = osp.join(temporary, 'whole')
        os.mkdir(whole)
        for record in proposals:
            stem = _add_stem(seen, record.name)
            content = BytesIO()
            np.save(content, record.boxes)
            with full_disk_named(folder), open(
                    osp.join(whole, f'{stem}.npy'), 'wb') as file:
                file.write(content.getvalue())
        os.rename(whole, folder)


def _add_stem(seen: dict[str, str], name: str) -> str:
    stem = stem_of(name)
    if stem in seen:
        raise ValueError(
            f'the images {seen[stem]!r} and {name!r} have the same stem '
            f'{stem!r}, which is all that this format knows of an image; '
            'use a COCO json or a proposal file.')
    seen[stem] = name
    return stem


def _by_stem(names: Iterable[str]) -> dict[str, str]:
    seen = {}
    for name in names:
        _add_stem(seen, name)
    return seen


def turned(name: str, boxes: np.ndarray,
           stored: tuple[int, int, int]) -> Proposals:
    """Turn boxes of an image as stored to those of the upright image.

    The other projects' code ignores the orientation that a camera noted in
    the EXIF data; mmloc's loader applies it.

    Args:
        name (str): Of the image.
        boxes (np.ndarray): (n, 4), x2 and y2 being the last column and row.
        stored (tuple[int, int, int]): What :data:`SizeOf` gives.

    Returns:
        Proposals: Of the upright image.
    """
    width, height, orientation = stored
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if orientation >= 5:
        boxes = boxes[:, [1, 0, 3, 2]]
        width, height = height, width
    if orientation in (2, 3, 6, 7):
        boxes = np.stack((width - 1 - boxes[:, 2], boxes[:, 1],
                          width - 1 - boxes[:, 0], boxes[:, 3]), 1)
    if orientation in (3, 4, 7, 8):
        boxes = np.stack((boxes[:, 0], height - 1 - boxes[:, 3],
                          boxes[:, 2], height - 1 - boxes[:, 1]), 1)
    return Proposals(name, width, height, boxes)


def as_stored(record: Proposals, stored: tuple[int, int, int]) -> Proposals:
    """Turn boxes of an upright image back to those of the image as stored.

    Args:
        record (Proposals): Of the upright image.
        stored (tuple[int, int, int]): What :data:`SizeOf` gives.

    Returns:
        Proposals: Of the image as stored.

    Raises:
        ValueError: The boxes were made for an image of another size.
    """
    name, width, height, boxes = record
    orientation = stored[2]
    # All turns but those by 90 degrees undo themselves.
    back = {6: 8, 8: 6}.get(orientation, orientation)
    record = turned(name, boxes, (width, height, back))
    if (record.width, record.height) != stored[:2]:
        raise ValueError(
            f'the proposals of {name!r} are for {width} x {height} pixels, '
            f'but the image is stored with {stored[0]} x {stored[1]} and the '
            f'orientation {orientation}: name the images that they were made '
            'from, and no json with the sizes of turned images.')
    return record
