# Copyright (c) mmloc contributors. All rights reserved.
"""The toy set: a procedural detection task that needs no download.

Layout of the folder, COCO's::

    unlabeled/*.jpg  train/*.jpg  val/*.jpg
    annotations/{unlabeled,train,val}.json
    meta.json  README.txt

All splits are drawn from the same distribution; ``unlabeled.json`` lists the
images only.
"""
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_api

from .toy_scene import TOY_CLASSES, draw_scene

#: Raised by every change that changes a pixel or a box.
GENERATOR_VERSION = 1
SPLITS = ('unlabeled', 'train', 'val')
_README = """mmloc toy set: a procedural detection task.

Written by tools/dataset_tools/make_toy_dataset.py with the parameters in
meta.json, which give the same files again. {num} images of {size} x {size}
pixels; boxes and masks (run-length encoded) in COCO format in annotations/.

Classes, each a shape together with a texture:
{classes}
"""


@dataclass(frozen=True)
class ToyParams:
    """What a toy set is made from.

    Args:
        size (int): Side of the images in pixels, at least 32.
        unlabeled (int): Number of images without labels.
        train (int): Number of labelled images to train on.
        val (int): Number of labelled images to evaluate on.
        seed (int): Seed of the set, 0 or more.

    Raises:
        ValueError: A value is out of range.
    """
    size: int = 128
    unlabeled: int = 2000
    train: int = 200
    val: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 32 if field.name == 'size' else 0
            if value < least:
                raise ValueError(
                    f'{field.name} of the toy set is {value}, expected '
                    f'{least} or more.')
        if self.unlabeled + self.train + self.val == 0:
            raise ValueError('All splits of the toy set have 0 images, '
                             'expected at least one image.')


def make_toy_dataset(
        out: str,
        params: ToyParams = ToyParams(),
        workers: int | None = None,
        overwrite: bool = False,
        track: Callable[[Iterable, int, str], Iterator] = lambda x, *_: x
) -> bool:
    """Write the toy set, unless the same set is already there.

    Every image has a generator of its own, seeded by (seed, split, index):
    the files do not depend on ``workers``. The set is written beside ``out``
    and moved there when complete, so ``out`` never holds half a set.

    Args:
        out (str): Folder of the set.
        params (ToyParams): What to make.
        workers (int, optional): Processes. Defaults to the number of cores.
        overwrite (bool): Whether another or a damaged toy set in ``out`` is
            replaced. A folder that holds anything else never is.
        track (callable): Wraps the images made, given their number and a
            description, to show progress; see :func:`mmloc.utils.progress.
            track`.

    Returns:
        bool: False if the same set was already there.

    Raises:
        FileExistsError: ``out`` holds something else.
    """
    target = Path(out).expanduser().absolute()
    if target.exists() and not _may_write(target, params, overwrite):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(
        tempfile.mkdtemp(prefix=f'.{target.name}-', dir=target.parent))
    try:
        made = folder / 'new'
        _write_set(made, params, workers or os.cpu_count() or 1, track)
        if target.exists():
            target.rename(folder / 'old')
        made.rename(target)
    finally:
        shutil.rmtree(folder)
    return True


def _may_write(target: Path, params: ToyParams, overwrite: bool) -> bool:
    """Whether to write to an existing path; False if the set is there."""
    if target.is_dir() and not any(target.iterdir()):
        return True
    meta = _read_meta(target)
    if meta is None:
        raise FileExistsError(
            f'{str(target)!r} exists and is not a toy set, expected an empty '
            'or a new folder; choose another one.')
    wanted = _describe(params)
    differences = [
        f'{key} is {meta.get(key)!r}, wanted {wanted[key]!r}'
        for key in wanted if meta.get(key) != wanted[key]
    ]
    if not differences and _digest(target) != meta.get('sha256'):
        differences = ['its files have been changed']
    if not differences:
        return False
    if not overwrite:
        raise FileExistsError(
            f'{str(target)!r} holds another toy set '
            f'({"; ".join(differences)}); choose another folder, or set '
            'overwrite to replace it.')
    return True


def _read_meta(target: Path) -> dict | None:
    """Read ``meta.json``, None if it is not that of a toy set."""
    try:
        meta = json.loads((target / 'meta.json').read_text())
    except (OSError, ValueError):
        return None
    is_toy = isinstance(meta, dict) and meta.get('generator') == 'mmloc toy'
    return meta if is_toy else None


def _describe(params: ToyParams) -> dict:
    return dict(
        generator='mmloc toy', version=GENERATOR_VERSION, **asdict(params))


def _digest(folder: Path) -> str:
    """Hash the names and contents of the images and annotations."""
    total = hashlib.sha256()
    for part in (*SPLITS, 'annotations'):
        for path in sorted((folder / part).glob('*')):
            total.update(f'{part}/{path.name}'.encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _write_set(folder: Path, params: ToyParams, workers: int, track) -> None:
    """Write all files of a set to a new folder."""
    for part in (*SPLITS, 'annotations'):
        (folder / part).mkdir(parents=True)
    jobs = [(folder, params, split, index) for split in SPLITS
            for index in range(getattr(params, split))]
    data = {split: _empty_coco(split) for split in SPLITS}
    workers = min(workers, len(jobs))
    with multiprocessing.get_context('fork').Pool(
            workers, initializer=_start_worker) as pool:
        done = pool.imap(_make_image, jobs, chunksize=8)
        for split, image, anns in track(done, len(jobs), 'toy images'):
            coco = data[split]
            coco['images'].append(image)
            if split != 'unlabeled':
                first = len(coco['annotations']) + 1
                coco['annotations'] += [
                    dict(ann, id=first + i) for i, ann in enumerate(anns)
                ]
    for split, coco in data.items():
        path = folder / 'annotations' / f'{split}.json'
        path.write_text(json.dumps(coco))
    (folder / 'README.txt').write_text(
        _README.format(
            num=len(jobs),
            size=params.size,
            classes='\n'.join(f'- {name}' for name in TOY_CLASSES)))
    meta = dict(_describe(params), sha256=_digest(folder))
    (folder / 'meta.json').write_text(json.dumps(meta, indent=2) + '\n')


def _start_worker() -> None:
    # Ctrl-C is the parent's to answer; cores are shared by processes alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _empty_coco(split: str) -> dict:
    categories = [
        dict(id=i, name=name, supercategory=shape)
        for i, (name, (shape, _)) in enumerate(TOY_CLASSES.items(), 1)
    ]
    return dict(
        info=dict(description=f'mmloc toy set, {split}'),
        images=[],
        annotations=[],
        categories=categories)


def _make_image(job: tuple) -> tuple:
    """Draw and write an image; return its entries for the COCO json."""
    folder, params, split, index = job
    rng = np.random.default_rng([params.seed, SPLITS.index(split), index])
    scene = draw_scene(rng, params.size)
    name = f'{index:06d}.jpg'
    path = folder / split / name
    if not cv2.imwrite(str(path), scene.image, [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f'Cannot write {str(path)!r}; check the free space.')
    image = dict(
        id=index + 1, file_name=name, height=params.size, width=params.size)
    anns = [
        _annotation(index + 1, label + 1, mask)
        for label, mask in zip(scene.labels, scene.masks)
    ]
    return split, image, anns


def _annotation(image_id: int, category_id: int, mask: np.ndarray) -> dict:
    """Describe the visible part of an object as COCO does."""
    rle = mask_api.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        image_id=image_id,
        category_id=category_id,
        bbox=[float(value) for value in mask_api.toBbox(rle)],
        area=float(mask_api.area(rle)),
        segmentation=dict(
            size=[int(value) for value in rle['size']],
            counts=rle['counts'].decode()),
        iscrowd=0)
