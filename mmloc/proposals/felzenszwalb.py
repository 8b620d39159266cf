# Copyright (c) mmloc contributors. All rights reserved.
"""Felzenszwalb's segmentation, labels equal to scikit-image's."""
import numpy as np
from skimage import segmentation, util


def felzenszwalb(img: np.ndarray, scale: float, sigma: float,
                 min_size: int) -> np.ndarray:
    """Segment an image by merging pixels along the cheapest edges."""
    return segmentation.felzenszwalb(util.img_as_float(img), scale, sigma,
                                     min_size)
