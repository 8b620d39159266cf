# Copyright (c) mmloc contributors. All rights reserved.
from .collation import flat_collate
from .fixed_draws import FixedDrawsDataset
from .label_subsets import LabelSubset
from .mix import MixImagesDataset
from .transforms import *  # noqa: F403
from .unlabeled import UnlabeledImageDataset

__all__ = [
    'FixedDrawsDataset', 'LabelSubset', 'MixImagesDataset',
    'UnlabeledImageDataset', 'flat_collate'
]
