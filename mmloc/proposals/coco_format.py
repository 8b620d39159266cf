# Copyright (c) mmloc contributors. All rights reserved.
"""Proposals as annotations of a COCO json, as AlignDet (arXiv 2307.11077)."""
import json
from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from mmloc.utils.files import atomic_write

from .file_layout import Proposals
from .json_stream import opened_json, to_xywh, to_xyxy

#: What AlignDet's configs call the only category.
CATEGORY = 'selective_search'
#: Keys that a COCO json begins with.
_COCO_KEYS = ('info', 'licenses', 'images', 'annotations', 'categories',
              'type', 'videos')


def sniff_json(path: str) -> str:
    """Whether a json is 'coco' or 'soco', told by its first key.

    Args:
        path (str): The json.

    Returns:
        str: 'coco' or 'soco'.

    Raises:
        ValueError: It is no JSON object.
    """
    with opened_json(path, 'a JSON object') as stream:
        return 'coco' if next(stream.members(), '') in _COCO_KEYS else 'soco'


def read_coco(path: str) -> tuple[dict, int, Iterator[Proposals]]:
    """Read a COCO json whose annotations are proposals.

    The json is never held as a whole, but the boxes are: 100 bytes each.
    Categories, scores and masks are passed over.

    Args:
        path (str): The json.

    Returns:
        tuple[dict, int, Iterator[Proposals]]: ``info['proposals']`` if
        :func:`write_coco` stored it, else {}; the number of images; these in
        the order of the json.

    Raises:
        ValueError: It is no COCO json, an image has no size, or an
            annotation belongs to no image.
    """
    images, params = [], {}
    image_ids, boxes = array('q'), array('d')
    expected = 'a COCO json with the size of each image'
    with opened_json(path, expected) as stream:
        for key in stream.members():
            if key == 'annotations':
                for _ in stream.elements():
                    annotation = stream.value()
                    image_ids.append(annotation['image_id'])
                    x, y, w, h = annotation['bbox']
                    boxes.extend((x, y, w, h))
            elif key == 'images':
                for _ in stream.elements():
                    image = stream.value()
                    images.append((image['id'], image['file_name'],
                                   image['width'], image['height']))
            elif key == 'info':
                params = (stream.value() or {}).get('proposals', {})
            else:
                stream.value()
    if not images:
        raise ValueError(f'The COCO json {path!r} lists 0 images, expected '
                         'at least one entry in "images".')
    return params, len(images), _group(
        path, images, np.asarray(image_ids),
        to_xyxy(np.asarray(boxes).reshape(-1, 4)))


def _group(path: str, images: list[tuple], image_ids: np.ndarray,
           boxes: np.ndarray) -> Iterator[Proposals]:
    """Give each image its boxes, in the order in which they are listed."""
    order = np.argsort(image_ids, kind='stable')
    image_ids = image_ids[order]
    wanted = np.array([image[0] for image in images])
    ids, counts = np.unique(wanted, return_counts=True)
    if len(ids) < len(wanted):
        raise ValueError(
            f'{path!r} lists the image id {ids[counts > 1][0]!r} more than '
            'once, expected ids that tell the images apart; check the file.')
    stray = np.flatnonzero(~np.isin(image_ids, wanted))
    if len(stray):
        raise ValueError(
            f'{path!r} has an annotation of the image id '
            f'{image_ids[stray[0]]}, which is not listed under "images"; '
            'check the file.')
    first = np.searchsorted(image_ids, wanted, 'left')
    last = np.searchsorted(image_ids, wanted, 'right')
    for (_, name, width, height), i, j in zip(images, first, last):
        yield Proposals(name, width, height, boxes[order[i:j]])


def write_coco(path: str, proposals: Iterable[Proposals], params: dict,
               overwrite: bool = False) -> None:
    """Write a COCO json with one category and a box an annotation.

    Args:
        path (str): The json.
        proposals (Iterable[Proposals]): The images, passed through twice.
        params (dict): Kept as ``info['proposals']``.
        overwrite (bool): Whether to replace a file. Defaults to False.

    Raises:
        ValueError: There is a file and ``overwrite`` is not given.
    """
    def images() -> Iterator[dict]:
        for i, record in enumerate(proposals, 1):
            yield dict(id=i, file_name=record.name, width=record.width,
                       height=record.height)

    def annotations() -> Iterator[dict]:
        number = 0
        for i, record in enumerate(proposals, 1):
            for box in to_xywh(record.boxes):
                number += 1
                yield dict(id=number, image_id=i, category_id=1, bbox=box,
                           area=box[2] * box[3], iscrowd=0)

    head = dict(
        info=dict(description='object proposals', proposals=params),
        categories=[dict(id=1, name=CATEGORY)])
    with atomic_write(path, overwrite, 'w') as file:
        file.write(json.dumps(head)[:-1])
        for key, rows in (('images', images()), ('annotations',
                                                 annotations())):
            file.write(f',\n"{key}": [')
            for i, row in enumerate(rows):
                file.write((',\n' if i else '\n') + json.dumps(row))
            file.write(']')
        file.write('}\n')
