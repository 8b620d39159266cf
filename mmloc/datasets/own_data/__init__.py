# Copyright (c) mmloc contributors. All rights reserved.
"""Check a user's own images and boxes, and write the configs for them."""
from .advice import Advice, advise
from .checks import check_set
from .findings import Finding, Findings
from .images import find_copies, pretraining_images
from .labeled_set import LabeledSet, check_coverage, same_classes
from .reading import read_labeled, read_sets
from .splits import split_set
from .writing import Choices, write_coco, write_configs

__all__ = [
    'Advice', 'Choices', 'Finding', 'Findings', 'LabeledSet', 'advise',
    'check_coverage', 'check_set', 'find_copies', 'pretraining_images',
    'read_labeled', 'read_sets', 'same_classes', 'split_set', 'write_coco',
    'write_configs'
]
