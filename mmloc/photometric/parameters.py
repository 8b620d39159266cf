# Copyright (c) mmloc contributors. All rights reserved.
"""The changes of an image's colours as numbers, drawn apart from the action.

A transform draws what it would do and calls :func:`change`. If the sample has
a vector under :data:`KEY`, the change is noted there and the data
preprocessor carries it out, otherwise it is carried out at once.
"""
from collections.abc import Sequence

import numpy as np

from . import kernels
from .kernels import NEUTRAL

#: Key of the vector in results and in the meta information of data samples.
KEY = 'photometric'
#: What is done, in this order: see :func:`unchanged` for the places.
STAGES = dict(
    jitter=slice(4, 12),
    grey=slice(12, 13),
    blur=slice(13, 14),
    solarize=slice(14, 15),
    cutout=slice(15, None))
_UNCHANGED = np.array([*[0] * 4, *range(4), *NEUTRAL, 0, 0, 256], np.float32)
_NUMBERS = {stage: i for i, stage in enumerate(STAGES, 1)}


def unchanged() -> np.ndarray:
    """The vector of an image that is left as it is.

    Returns:
        np.ndarray: float32 (15, ): number of the last stage noted, counted
        from 1; height, width and flip of the image at that time; order (4)
        and factors (4) of :func:`.kernels.jitter`; whether to turn grey;
        sigma of the blur; threshold of the solarisation, 256 for none. A
        cutout adds its colour (BGR) and four numbers for each square.
    """
    return _UNCHANGED.copy()


def change(results: dict, stage: str, values: Sequence[float]) -> dict:
    """Carry a change out, or note it if the sample has a vector.

    Args:
        results (dict): Result dict with ``img``, uint8 (H, W, 3), BGR.
        stage (str): A key of :data:`STAGES`.
        values (Sequence[float]): What the vector holds for the stage.

    Returns:
        dict: The result dict.

    Raises:
        ValueError: A later stage, or this one, was noted already.
    """
    if results.get(KEY) is None:
        results['img'] = _ACTIONS[stage](results['img'], np.asarray(values))
        return results
    # As a list, of which NumPy makes a new vector in one step.
    vector, number = results[KEY].tolist(), _NUMBERS[stage]
    last, *size = vector[:3]
    if number <= last:
        raise ValueError(
            f'{list(STAGES)[int(last) - 1]!r} comes before {stage!r} in '
            f'the pipeline, expected the order {", ".join(STAGES)}, each '
            'once; reorder the transforms or leave out DeferPhotometric.')
    height, width = results['img'].shape[:2]
    if last and size != [height, width]:
        raise ValueError(_MOVED)
    vector[:4] = number, height, width, results.get('flip', False)
    # A cutout lengthens it.
    vector[STAGES[stage]] = values
    results[KEY] = np.array(vector, np.float32)
    return results


def stack(vectors: Sequence[np.ndarray], shape: tuple[int, int],
          flips: Sequence[bool]) -> np.ndarray:
    """Put the vectors of a batch together.

    Args:
        vectors (Sequence[np.ndarray]): N vectors.
        shape (tuple[int, int]): Height and width of the images.
        flips (Sequence[bool]): Whether each image is mirrored.

    Returns:
        np.ndarray: float32 (N, P); squares that are missing are empty.

    Raises:
        ValueError: An image was resized after a change was noted, or
            mirrored after a cutout.
    """
    batch = np.zeros((len(vectors), max(map(len, vectors))), np.float32)
    for row, vector, flip in zip(batch, vectors, flips):
        row[:len(vector)] = vector
        cut = len(vector) > STAGES['cutout'].start
        if (vector[0] and tuple(vector[1:3]) != tuple(shape)) or (
                cut and vector[3] != flip):
            raise ValueError(_MOVED)
    return batch


_MOVED = ('An image was cropped, resized or mirrored after its colours were '
          'drawn or its squares cut, expected these transforms before (a '
          'flip at least before CutoutInBoxes); reorder the pipeline or '
          'leave out DeferPhotometric.')


def squares_of(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours and squares of a batch.

    Args:
        vectors (np.ndarray): (N, P).

    Returns:
        tuple[np.ndarray, np.ndarray]: BGR (N, 3), and x1, y1, x2, y2 with x2
        and y2 excluded, (N, n, 4); n may be 0.
    """
    cutout = vectors[:, STAGES['cutout']]
    return cutout[:, :3], cutout[:, 3:].reshape(len(vectors), -1, 4)


def apply(img: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Carry out all that a vector holds, on the CPU.

    Args:
        img (np.ndarray): uint8 (H, W, 3), BGR.
        vector (np.ndarray): (P, ).

    Returns:
        np.ndarray: uint8 (H, W, 3).
    """
    nothing = unchanged()
    for stage, place in STAGES.items():
        if not np.array_equal(vector[place], nothing[place]):
            img = _ACTIONS[stage](img, vector[place])
    return img


def _cut(img: np.ndarray, values: np.ndarray) -> np.ndarray:
    colours, squares = squares_of(
        np.concatenate([np.zeros(STAGES['cutout'].start), values])[None])
    return kernels.fill_squares(img, squares[0].astype(int), colours[0])


#: By stage, the change of an image by the values of the vector.
_ACTIONS = dict(
    jitter=lambda img, x: kernels.jitter(img, x[:4].astype(int), x[4:]),
    grey=lambda img, x: kernels.to_grey(img),
    blur=lambda img, x: kernels.gaussian_blur(img, x[0]),
    solarize=lambda img, x: kernels.solarize(img, x[0]),
    cutout=_cut)
