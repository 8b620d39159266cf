# Copyright (c) mmloc contributors. All rights reserved.
"""Tiny data sets in the files and folders of the real ones.

Each maker writes a few scenes of the toy set into a new folder, as the
archives of the data set unpack, and returns the folder. A scene's objects get
the first categories of the data set. Sizes are in pixels.
"""
import json
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
from mmdet.datasets import (
    CityscapesDataset,
    CocoDataset,
    LVISV1Dataset,
    VOCDataset,
)
from pycocotools import mask as mask_api

from mmloc.datasets.toy_scene import draw_scene

#: COCO numbers its 80 categories from 1 to 90.
COCO_IDS = [n for n in range(1, 91)
            if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
#: The first images of COCO 2017 by number.
COCO_IMAGES = dict(train=(9, 25, 30, 34), val=(139, 285))
CITYSCAPES_IDS = dict(zip(CityscapesDataset.METAINFO['classes'],
                          (24, 25, 26, 27, 28, 31, 32, 33)))
#: A region with objects that are not told apart.
CROWD = (slice(4, 40), slice(8, 60))


class Picture(NamedTuple):
    """An image (H, W, 3), BGR, with labels and masks (H, W) of objects."""
    image: np.ndarray
    labels: list[int]
    masks: list[np.ndarray]


def draw(seed: int, size: int = 96, wide: bool = False) -> Picture:
    """Draw a square scene, or two of them side by side."""
    rng = np.random.default_rng(seed)
    scenes = [draw_scene(rng, size) for _ in range(1 + wide)]
    masks = [
        np.pad(mask, ((0, 0), (size * i, size * (len(scenes) - 1 - i))))
        for i, scene in enumerate(scenes) for mask in scene.masks
    ]
    labels = [label for scene in scenes for label in scene.labels]
    return Picture(np.hstack([s.image for s in scenes]), labels, masks)


def make_coco(root: Path) -> Path:
    """COCO 2017: polygons, and in every image a crowd."""
    for split, ids in COCO_IMAGES.items():
        data = dict(
            info=dict(year=2017), licenses=[], images=[], annotations=[],
            categories=[
                dict(id=i, name=name) for i, name in zip(
                    COCO_IDS, CocoDataset.METAINFO['classes'])])
        for number in ids:
            picture = draw(number)
            name = f'{number:012d}.jpg'
            _write_image(root / f'{split}2017' / name, picture.image)
            data['images'].append(
                dict(id=number, file_name=name, **_size(picture)))
            data['annotations'] += [
                dict(image_id=number, category_id=COCO_IDS[label], iscrowd=0,
                     **_polygons(mask))
                for label, mask in zip(picture.labels, picture.masks)]
            data['annotations'].append(
                dict(image_id=number, category_id=COCO_IDS[0],
                     **_crowd(picture)))
        _write_json(root, f'instances_{split}2017', data)
    return root


def make_lvis(root: Path) -> Path:
    """LVIS v1: COCO's images; categories rare, common or frequent."""
    classes = LVISV1Dataset.METAINFO['classes']
    for split, ids in COCO_IMAGES.items():
        pictures = {number: draw(number) for number in ids}
        labels = [p.labels for p in pictures.values()]
        data = dict(
            info=dict(version='1.0'), licenses=[], images=[], annotations=[],
            categories=[
                dict(id=i + 1, name=name, synset=f'{name}.n.01', synonyms=[],
                     frequency='rcf'[i % 3],
                     **{'def': name},
                     image_count=sum(i in x for x in labels),
                     instance_count=sum(x.count(i) for x in labels))
                for i, name in enumerate(classes)])
        for number, picture in pictures.items():
            # Some of the images of LVIS' val are of COCO's train.
            folder = 'train2017' if number == ids[0] else f'{split}2017'
            name = f'{folder}/{number:012d}.jpg'
            _write_image(root / name, picture.image)
            absent = set(range(8)).difference(picture.labels)
            data['images'].append(
                dict(id=number, coco_url=f'http://images.cocodataset.org/{name}',
                     neg_category_ids=[label + 1 for label in sorted(absent)],
                     not_exhaustive_category_ids=[picture.labels[0] + 1],
                     **_size(picture)))
            data['annotations'] += [
                dict(image_id=number, category_id=label + 1, **_polygons(mask))
                for label, mask in zip(picture.labels, picture.masks)]
        _write_json(root, f'lvis_v1_{split}', data)
    return root


def make_voc(root: Path) -> Path:
    """The devkit of VOC2007 and VOC2012; some objects are difficult."""
    for seed, (year, split) in enumerate((('VOC2007', 'trainval'),
                                          ('VOC2007', 'test'),
                                          ('VOC2012', 'trainval'))):
        names = [f'{seed:03d}{i:03d}' for i in range(2)]
        listing = root / year / 'ImageSets' / 'Main' / f'{split}.txt'
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text('\n'.join(names) + '\n')
        for name in names:
            picture = draw(int(name))
            _write_image(root / year / 'JPEGImages' / f'{name}.jpg',
                         picture.image)
            path = root / year / 'Annotations' / f'{name}.xml'
            path.parent.mkdir(exist_ok=True)
            _voc_tree(name, picture).write(path)
    return root


def _voc_tree(name: str, picture: Picture) -> ElementTree.ElementTree:
    root = ElementTree.Element('annotation')

    def add(parent, **values):
        for key, value in values.items():
            ElementTree.SubElement(parent, key).text = str(value)

    add(root, filename=f'{name}.jpg')
    add(ElementTree.SubElement(root, 'size'), depth=3, **_size(picture))
    for i, (label, mask) in enumerate(zip(picture.labels, picture.masks)):
        box = ElementTree.SubElement(root, 'object')
        add(box, name=VOCDataset.METAINFO['classes'][label],
            pose='Unspecified', truncated=0, difficult=int(i == 1))
        x, y, w, h = _measures(mask)['bbox']
        # VOC counts pixels from 1 and includes the last.
        add(ElementTree.SubElement(box, 'bndbox'), xmin=int(x) + 1,
            ymin=int(y) + 1, xmax=int(x + w), ymax=int(y + h))
    return ElementTree.ElementTree(root)


def make_cityscapes(root: Path) -> Path:
    """Cityscapes with the json files of mmdet's converter."""
    ids = list(CITYSCAPES_IDS.values())
    for split, city, seeds in (('train', 'aachen', (0, 1)),
                               ('val', 'lindau', (2, ))):
        data = dict(
            images=[], annotations=[],
            categories=[dict(id=i, name=name)
                        for name, i in CITYSCAPES_IDS.items()])
        for seed in seeds:
            picture = draw(seed, wide=True)
            stem = f'{city}/{city}_{seed:06d}_000019'
            _write_image(
                root / 'leftImg8bit' / split / f'{stem}_leftImg8bit.png',
                picture.image)
            instances = np.full(picture.image.shape[:2], 7)  # road
            instances[CROWD] = CITYSCAPES_IDS['car']  # a group
            for i, (label, mask) in enumerate(
                    zip(picture.labels, picture.masks)):
                instances[mask] = ids[label] * 1000 + i
            parts = {'instanceIds': instances.astype(np.uint16),
                     'labelIds': np.where(instances < 1000, instances,
                                          instances // 1000).astype(np.uint8)}
            for part, values in parts.items():
                _write_image(
                    root / 'gtFine' / split / f'{stem}_gtFine_{part}.png',
                    values)
            data['images'].append(
                dict(id=seed, file_name=f'{stem}_leftImg8bit.png',
                     segm_file=f'{stem}_gtFine_labelIds.png',
                     **_size(picture)))
            for value in np.unique(instances[instances >= 24]):
                mask = instances == value
                data['annotations'].append(
                    dict(image_id=seed, iscrowd=int(value < 1000),
                         category_id=int(value if value < 1000
                                         else value // 1000),
                         segmentation=_encode(mask), **_measures(mask)))
        _write_json(root, f'instancesonly_filtered_gtFine_{split}', data)
    return root


def make_imagenet(root: Path) -> Path:
    """ImageNet in folders of classes, with the lists of mmpretrain."""
    wnids = ('n01440764', 'n01443537')
    for split, num in (('train', 2), ('val', 1)):
        lines = []
        for label, wnid in enumerate(wnids):
            for i in range(num):
                name = f'{wnid}/{split}_{i}.jpg'
                _write_image(root / split / name, draw(10 * label + i).image)
                lines.append(f'{name} {label}')
        path = root / 'meta' / f'{split}.txt'
        path.parent.mkdir(exist_ok=True)
        path.write_text('\n'.join(lines))
    return root


def _size(picture: Picture) -> dict:
    height, width = picture.image.shape[:2]
    return dict(width=width, height=height)


def _encode(mask: np.ndarray) -> dict:
    rle = mask_api.encode(np.asfortranarray(mask, np.uint8))
    return dict(rle, counts=rle['counts'].decode())


def _measures(mask: np.ndarray) -> dict:
    """Get the box (x, y, w, h) and the area of a mask."""
    rle = _encode(mask)
    return dict(bbox=mask_api.toBbox(rle).tolist(),
                area=float(mask_api.area(rle)))


def _polygons(mask: np.ndarray) -> dict:
    """Outline a mask, whose box and area stay its own."""
    outlines = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return dict(
        segmentation=[outline.astype(float).ravel().tolist()
                      for outline in outlines if len(outline) > 2],
        **_measures(mask))


def _crowd(picture: Picture) -> dict:
    """Describe the crowd by counts of pixels, column by column."""
    mask = np.zeros(picture.image.shape[:2], bool)
    mask[CROWD] = True
    edges = np.flatnonzero(np.diff(mask.ravel('F'), prepend=False))
    counts = np.diff([0, *edges, mask.size]).tolist()
    return dict(segmentation=dict(counts=counts, size=list(mask.shape)),
                iscrowd=1, **_measures(mask))


def _write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def _write_json(root: Path, name: str, data: dict) -> None:
    """Number the annotations and write the file."""
    for i, annotation in enumerate(data['annotations'], 1):
        annotation['id'] = i
    path = root / 'annotations' / f'{name}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))
