# Copyright (c) mmloc contributors. All rights reserved.
"""Pictures for people: contact sheets, curves and the report of a run."""
from .drawing import PALETTE, draw_boxes, draw_coco, enlarge, tile

__all__ = ['PALETTE', 'draw_boxes', 'draw_coco', 'enlarge', 'tile']
