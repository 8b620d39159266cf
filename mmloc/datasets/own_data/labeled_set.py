# Copyright (c) mmloc contributors. All rights reserved.
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .findings import Findings


@dataclass
class LabeledSet:
    """Images with boxes, as in a COCO json.

    Args:
        name (str): What to call it in messages.
        root (str): Folder of the images.
        images (list[dict]): ``id`` (int), ``file_name``, ``width`` and
            ``height`` (int, pixels, 0 if not known).
        annotations (list[dict]): ``image_id``, ``category_id``, ``bbox``
            (xywh, pixels), perhaps ``iscrowd``, ``segmentation`` and others.
        categories (dict[int, str]): Names by ids.
    """
    name: str
    root: str
    images: list[dict]
    annotations: list[dict]
    categories: dict[int, str]

    @property
    def file_names(self) -> dict[int, str]:
        """dict[int, str]: File names by ids of images."""
        return {image['id']: image['file_name'] for image in self.images}

    def keep_images(self, keep: Callable[[dict], bool]) -> None:
        """Drop images with their annotations.

        Args:
            keep (Callable): Whether to keep an image.
        """
        self.images = [image for image in self.images if keep(image)]
        ids = {image['id'] for image in self.images}
        self.annotations = [
            ann for ann in self.annotations if ann['image_id'] in ids
        ]

    def boxes_by_class(self) -> Counter:
        """Count the boxes of each class.

        Returns:
            Counter: By the name of the class.
        """
        return Counter(
            self.categories[ann['category_id']] for ann in self.annotations)

    def short_side(self) -> int:
        """int: Median of the shorter sides of the images, in pixels."""
        return int(
            np.median([min(i['width'], i['height']) for i in self.images]))


def same_classes(sets: list[LabeledSet], findings: Findings,
                 expected: list[str] | None = None) -> list[str]:
    """Give the same classes the same ids in all sets, and check their names.

    Args:
        sets (list[LabeledSet]): The sets, that for training first; changed in
            place.
        findings (Findings): Gets what is wrong.
        expected (list[str], optional): Names that the user expects; boxes of
            others are dropped. Defaults to None, for those that have boxes.

    Returns:
        list[str]: Names of the classes in the order of their ids, 1 first.
    """
    counts = [part.boxes_by_class() for part in sets]
    found = list(
        dict.fromkeys(
            name for part in sets for name in part.categories.values()))
    used = [name for name in found if any(c[name] for c in counts)]
    _check_spelling(found, findings)
    findings.add(
        'warning', 'classes without any box',
        'left out of the detector, for it could not learn them',
        [repr(n) for n in found if n not in used and n not in (expected or [])
         ])
    if expected is None:
        names = sorted(used)
    else:
        names = expected
        findings.add(
            'broken', 'classes that are not among those of --classes',
            'correct the spelling by --rename OLD=NEW or add them to '
            '--classes; --skip-broken drops their boxes',
            [repr(name) for name in used if name not in expected])
        findings.add(
            'warning', 'classes of --classes without any box',
            'the detector will never find them; is it spelled as in the data '
            '(see the note on classes)?',
            [repr(name) for name in expected if name not in used])
    for part in sets:
        _renumber(part, names)
    return names


def check_coverage(train: LabeledSet, val: LabeledSet,
                   findings: Findings) -> None:
    """Compare the classes that are trained with those that are evaluated.

    Args:
        train (LabeledSet): The set for training.
        val (LabeledSet): The set for evaluation.
        findings (Findings): Gets what is wrong.
    """
    trained, evaluated = train.boxes_by_class(), val.boxes_by_class()
    findings.add(
        'warning', f'classes with boxes in {val.name} alone',
        'they cannot be learned and lower the mean AP',
        [repr(name) for name in evaluated if name not in trained])
    findings.add(
        'warning', f'classes without boxes in {val.name}',
        'they take no part in the evaluation',
        [repr(name) for name in trained if name not in evaluated])
    for part, counts in ((train, trained), (val, evaluated)):
        if not counts:
            findings.add('wrong', f'{part.name}: not one box is left',
                         'see what was dropped, and why')


def _check_spelling(names: list[str], findings: Findings) -> None:
    """Find names that differ in case, blanks, underscores or hyphens."""
    groups: dict[str, list] = {}
    for name in names:
        key = ''.join(c for c in name.casefold() if c.isalnum())
        groups.setdefault(key or name, []).append(name)
    findings.add(
        'wrong', 'names of classes that differ only in case, blanks or signs',
        'make them one by --rename OLD=NEW',
        [' / '.join(map(repr, group)) for group in groups.values()
         if len(group) > 1])
    findings.add(
        'warning', 'classes named as if they were the background',
        'a detector has its own background; should these boxes be there?',
        [repr(n) for n in names if 'background' in n.casefold()])


def _renumber(part: LabeledSet, names: list[str]) -> None:
    ids = {name: i for i, name in enumerate(names, 1)}
    kept = []
    for ann in part.annotations:
        name = part.categories[ann['category_id']]
        if name in ids:
            kept.append(dict(ann, category_id=ids[name]))
    part.annotations = kept
    part.categories = {i: name for name, i in ids.items()}
