# Copyright (c) mmloc contributors. All rights reserved.
"""Weights from and to other projects."""
from .convert import (
    TARGETS,
    Conversion,
    Origin,
    check_ending,
    convert_checkpoint,
    recognize,
)
from .detector import from_detectron2, to_detectron2, to_torchvision
from .files import read_checkpoint, write_checkpoint
from .official import from_official, to_official

__all__ = [
    'TARGETS', 'Conversion', 'Origin', 'check_ending', 'convert_checkpoint',
    'from_detectron2', 'from_official', 'read_checkpoint', 'recognize',
    'to_detectron2', 'to_official', 'to_torchvision', 'write_checkpoint'
]
