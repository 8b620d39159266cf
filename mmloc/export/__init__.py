# Copyright (c) mmloc contributors. All rights reserved.
"""Weights from and to other projects."""
from .files import read_checkpoint, write_checkpoint
from .soco import convert_soco

__all__ = ['convert_soco', 'read_checkpoint', 'write_checkpoint']
