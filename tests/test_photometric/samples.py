# Copyright (c) mmloc contributors. All rights reserved.
"""Pictures and drawn changes."""
import numpy as np

from mmloc import photometric


def pictures(num, height=24, width=30, seed=0):
    """Pictures with smooth parts, noise, grey pixels and extremes."""
    rng = np.random.RandomState(seed)
    images = rng.randint(0, 256, (num, height, width, 3)).astype(np.uint8)
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    images[:, :height // 3] = ramp[:, None]
    images[:, height // 3:height // 2] = rng.randint(
        0, 256, (num, 1, 1, 3))
    images[:, -2:, ::2] = 255
    return images


def draw(img, rng, **always):
    """The vector of an image after drawn changes, some of them at will."""
    results = dict(img=img, photometric=photometric.unchanged())
    height, width = img.shape[:2]
    corners = rng.randint(0, (width, height), (4, 2))
    squares = np.concatenate([corners, corners + rng.randint(0, 9, (4, 2))], 1)
    changes = dict(
        jitter=[
            *rng.permutation(4), *rng.uniform(0.6, 1.4, 3),
            rng.randint(-25, 26) % 256
        ],
        grey=[1],
        blur=[rng.uniform(0.1, 3)],
        solarize=[128],
        cutout=[104, 116, 124, *squares.ravel()])
    for name, values in changes.items():
        if rng.rand() < always.get(name, 0.5):
            photometric.change(results, name, values)
    return results['photometric']
