# Copyright (c) mmloc contributors. All rights reserved.
"""Pictures for people: contact sheets, curves and the report of a run."""
from .composites import draw_composites
from .curves import draw_curves, draw_loss_curve, read_scalars
from .detections import draw_coco_detections, draw_detections
from .drawing import PALETTE, draw_boxes, draw_coco, enlarge, save_image, tile
from .report import Report

__all__ = [
    'PALETTE', 'Report', 'draw_boxes', 'draw_coco', 'draw_coco_detections',
    'draw_composites', 'draw_curves', 'draw_detections', 'draw_loss_curve',
    'enlarge', 'read_scalars', 'save_image', 'tile'
]
