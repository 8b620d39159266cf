# Copyright (c) mmloc contributors. All rights reserved.
import hashlib
from collections.abc import Iterable

from ..near_duplicates import Pair
from .labeled_set import LabeledSet


def split_set(part: LabeledSet, share: float,
              pairs: Iterable[Pair]) -> list[LabeledSet]:
    """Split a set by the names of its images.

    A name decides by its SHA-256 alone: the split is the same everywhere, and
    stays if images are added. Near-duplicates go where the first name of them
    goes.

    Args:
        part (LabeledSet): The set.
        share (float): Share of the images for evaluation, in (0, 1).
        pairs (Iterable[Pair]): Near-duplicates in it.

    Returns:
        list[LabeledSet]: The sets for training and for evaluation.

    Raises:
        ValueError: The share is out of range, or a side gets no image.
    """
    if not 0 < share < 1:
        raise ValueError(f'The share for evaluation is {share}, expected a '
                         'number between 0 and 1, such as 0.2.')
    first = {name: name for name in part.file_names.values()}

    def leader(name: str) -> str:
        while first[name] != name:
            name = first[name]
        return name

    for pair in pairs:
        low, high = sorted(map(leader, (pair.image, pair.source)))
        first[high] = low
    evaluated = {
        name for name in first if _fraction(leader(name)) < share
    }
    sets = []
    for name, inside in (('train', False), ('val', True)):
        side = LabeledSet(name, part.root, part.images, part.annotations,
                          part.categories)
        side.keep_images(
            lambda i, inside=inside: (i['file_name'] in evaluated) == inside)
        if not side.images:
            raise ValueError(
                f'A split of {len(part.images)} images with a share of '
                f'{share} for evaluation leaves none for {name}, for names '
                'decide and near-duplicates stay together; give another '
                'share, more images, or a set of your own by --val.')
        sets.append(side)
    return sets


def _fraction(name: str) -> float:
    """Draw a number in [0, 1) that a name alone decides."""
    digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape'))
    return int.from_bytes(digest.digest()[:8], 'big') / 2**64
