# Copyright (c) mmloc contributors. All rights reserved.
import numpy as np

from ..image_table import image_path
from ..near_duplicates import Pair, find_near_duplicates
from ..proposal_job import ImageNames
from ..transforms.loading import LoadImage, UnreadableImageError
from .findings import Findings
from .labeled_set import LabeledSet

#: Below it, pretraining from new weights is a gamble.
_FEW_IMAGES = 10_000
_SMALL_SIDE, _NUM_SAMPLED = 128, 64
#: Above the tool's own, for nobody looks at these pairs: other images of one
#: kind of object, or of one camera, reach 0.8.
_MIN_SIMILARITY = 0.9


def find_copies(sets: list[LabeledSet], findings: Findings,
                **kwargs) -> list[Pair]:
    """Look for near-duplicates among the labelled images.

    Args:
        sets (list[LabeledSet]): One set, that may be split, or the sets for
            training and for evaluation.
        findings (Findings): Gets what is found.
        **kwargs: Of :func:`find_near_duplicates`: ``cache_dir``, ``workers``
            and ``track``.

    Returns:
        list[Pair]: Those within the set, or between both.
    """
    images = [
        ImageNames(part.root, list(part.file_names.values()), 0)
        for part in sets
    ]
    pairs = find_near_duplicates(
        *images, min_similarity=_MIN_SIMILARITY, **kwargs).pairs
    where = ' and '.join(part.name for part in sets)
    findings.add(
        'warning', f'near-duplicates in {where}',
        'a split made here keeps them together' if len(sets) == 1 else
        'there the evaluation measures memory: take them out of one',
        [f'{pair.source} = {pair.image} (distance {pair.distance:.2f})'
         for pair in pairs])
    return pairs


def pretraining_images(unlabeled: ImageNames, val: LabeledSet,
                       findings: Findings, **kwargs) -> list[str]:
    """Choose the images to pretrain on.

    Args:
        unlabeled (ImageNames): The images without labels.
        val (LabeledSet): The set for evaluation.
        findings (Findings): Gets what is wrong.
        **kwargs: As for :func:`find_copies`.

    Returns:
        list[str]: Their names, without those that cannot be read or resemble
        an image of the evaluation.
    """
    images = ImageNames(val.root, list(val.file_names.values()), 0)
    found = find_near_duplicates(
        unlabeled, images, min_similarity=_MIN_SIMILARITY, **kwargs)
    leaks = {pair.source for pair in found.pairs}
    paths = {name: image_path(name, unlabeled.prefix)
             for name in unlabeled.names}
    broken = {n for n, path in paths.items() if path in found.unreadable}
    findings.add(
        'warning', 'images without labels that resemble one of the evaluation',
        'left out of the pretraining; tools/dataset_tools/find_duplicates.py '
        'shows the pairs', sorted(leaks))
    findings.add('warning', 'images without labels that cannot be read',
                 'left out of the pretraining', sorted(
                     f'{n} ({found.unreadable[paths[n]]})' for n in broken))
    left_out = leaks | broken
    names = [name for name in unlabeled.names if name not in left_out]
    if len(names) < _FEW_IMAGES:
        findings.add(
            'warning', f'{len(names)} images to pretrain on',
            f'fewer than {_FEW_IMAGES}: start from weights of ImageNet '
            '(--weights torchvision://resnet50), gather more, or compare '
            'with --start supervised before you rely on it')
    _check_sizes([paths[n] for n in names], findings)
    return names


def _check_sizes(paths: list[str], findings: Findings) -> None:
    """Look at the sizes of some images."""
    sides = []
    for i in np.linspace(0, len(paths) - 1, min(len(paths), _NUM_SAMPLED)):
        try:
            image = LoadImage()(dict(img_path=paths[round(i)]))
        except UnreadableImageError:
            continue  # said already
        sides.append(min(image['img_shape']))
    if sides and np.median(sides) < _SMALL_SIDE:
        findings.add(
            'warning', 'the images without labels are small: the shorter '
            f'side is {np.median(sides):.0f} px in the median',
            'crops of them are enlarged to 100 to 250 px, and what is '
            'learned is blurred: are there larger ones?')
