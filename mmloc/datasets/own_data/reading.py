# Copyright (c) mmloc contributors. All rights reserved.
"""Read boxes in COCO's or VOC's form, as lenient as can be said aloud."""
from collections.abc import Mapping
from pathlib import Path

from .coco_reading import read_coco
from .findings import Findings
from .labeled_set import LabeledSet
from .voc_reading import read_voc


def read_sets(source: str,
              val: str | None,
              findings: Findings,
              images: str | None = None,
              rename: Mapping[str, str] | None = None) -> list[LabeledSet]:
    """Read a data set with boxes, and perhaps another one for evaluation.

    Args:
        source (str): See :func:`read_labeled`.
        val (str, optional): The other set.
        findings (Findings): Gets what is wrong.
        images (str, optional): Folder of the images of jsons. Defaults to
            None, which looks for it.
        rename (Mapping[str, str], optional): See :func:`read_labeled`.

    Returns:
        list[LabeledSet]: One set, or those for training and evaluation.

    Raises:
        FileNotFoundError: A source or its images are missing.
        ValueError: A source is neither COCO's nor VOC's, or there are two
            sets for evaluation.
    """
    sets = read_labeled(source, 'train' if val else 'labelled set', findings,
                        images, rename)
    if val is None:
        return sets
    other = read_labeled(val, 'val', findings,
                         None if Path(val).is_dir() else images, rename)
    if len(sets) + len(other) > 2:
        raise ValueError(
            f'{source!r} or {val!r} has lists for training and validation of '
            'its own, and there is another set for evaluation; leave --val '
            'out.')
    return sets + other


def read_labeled(source: str,
                 name: str,
                 findings: Findings,
                 images: str | None = None,
                 rename: Mapping[str, str] | None = None) -> list[LabeledSet]:
    """Read a data set with boxes.

    Args:
        source (str): A COCO ``.json``, or a folder with images and VOC's
            ``.xml`` in two folders or in one.
        name (str): What to call it in messages.
        findings (Findings): Gets what is wrong.
        images (str, optional): Folder of the images. Defaults to None, which
            looks for it.
        rename (Mapping[str, str], optional): New names of classes by old
            ones. Defaults to None.

    Returns:
        list[LabeledSet]: One set, or two if a VOC folder has lists for
        training and validation.

    Raises:
        FileNotFoundError: The source or the images are missing.
        ValueError: The source is neither COCO's nor VOC's.
    """
    path = Path(source).expanduser().resolve()
    root = images and Path(images).expanduser().resolve()
    if path.is_dir():
        sets = read_voc(path, root, name, findings)
    elif not path.exists():
        raise FileNotFoundError(f'The data set {source!r} does not exist; '
                                'give a COCO .json or a folder of VOC.')
    elif path.suffix.lower() == '.json':
        sets = [read_coco(path, root, name, findings)]
    else:
        raise ValueError(f'{source!r} is neither a COCO .json nor a folder '
                         'in the form of VOC; give one of them.')
    for part in sets:
        part.categories = {
            key: (rename or {}).get(old, old)
            for key, old in part.categories.items()
        }
        counts = part.boxes_by_class()
        findings.add(
            'note', f'{part.name}: {len(part.images)} images, '
            f'{len(part.annotations)} boxes, classes ' +
            ', '.join(f'{n!r} ({counts[n]})' for n in sorted(counts)),
            f'images in {part.root}')
    return sets
