# Copyright (c) mmloc contributors. All rights reserved.
"""Pictures for people: contact sheets, curves and the report of a run."""
from .composites import draw_composites
from .curves import draw_curves, draw_loss_curve, read_scalars
from .detections import draw_coco_detections, draw_detections
from .drawing import (
    LEVEL_COLORS,
    PALETTE,
    draw_boxes,
    draw_coco,
    draw_legend,
    enlarge,
    save_image,
    tile,
)
from .duplicates import draw_pairs
from .label_curves import draw_label_curves
from .proposal_statistics import ProposalStatistics
from .proposals import draw_proposal_file, draw_proposals
from .report import Report
from .samples import draw_samples
from .similarity import draw_similarity
from .views import draw_views

__all__ = [
    'LEVEL_COLORS', 'PALETTE', 'ProposalStatistics', 'Report', 'draw_boxes',
    'draw_coco', 'draw_coco_detections', 'draw_composites', 'draw_curves',
    'draw_detections', 'draw_label_curves', 'draw_legend', 'draw_loss_curve',
    'draw_pairs', 'draw_proposal_file', 'draw_proposals', 'draw_samples',
    'draw_similarity', 'draw_views', 'enlarge', 'read_scalars', 'save_image',
    'tile'
]
