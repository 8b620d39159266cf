# Copyright (c) mmloc contributors. All rights reserved.
"""Draw one scene of the toy set: textured shapes on a textured background.

A class is a shape together with a texture. Every shape occurs with two
textures and every texture on two shapes, while colours, sizes, rotations and
light are random, so that neither a mean colour, nor a shape, nor a texture
alone tells the class.

Sizes are in pixels; colours are float32 BGR in [0, 1]; all draws come from
the generator that is passed in.
"""
from typing import NamedTuple

import cv2
import numpy as np

#: Class name -> (shape, texture).
TOY_CLASSES = {
    'striped disc': ('disc', 'stripes'),
    'dotted disc': ('disc', 'dots'),
    'checked square': ('square', 'checks'),
    'ringed square': ('square', 'rings'),
    'striped triangle': ('triangle', 'stripes'),
    'dotted triangle': ('triangle', 'dots'),
    'checked star': ('star', 'checks'),
    'ringed star': ('star', 'rings'),
}
SHAPES = ('disc', 'square', 'triangle', 'star')
TEXTURES = ('stripes', 'dots', 'checks', 'rings')

#: How likely 1, 2, ... objects in an image are.
_NUM_OBJECTS = (0.25, 0.3, 0.22, 0.15, 0.08)
#: No object shows less of itself than this, over image border and occlusion.
_MIN_VISIBLE = 0.3
#: Each patch is drawn this much larger and averaged down.
_OVERSAMPLING = 2


class Scene(NamedTuple):
    """An image with its objects.

    Attributes:
        image (np.ndarray): (S, S, 3), uint8, BGR.
        labels (list[int]): Indices into ``TOY_CLASSES``.
        masks (list[np.ndarray]): Visible parts, (S, S), bool.
    """
    image: np.ndarray
    labels: list
    masks: list


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draw an image of 1 to 5 objects among things that are no objects.

    Args:
        rng (np.random.Generator): Source of every draw.
        size (int): Side S of the image in pixels.

    Returns:
        Scene: The image, the objects' labels and visible masks.
    """
    image = _background(rng, size)
    num = 1 + rng.choice(len(_NUM_OBJECTS), p=_NUM_OBJECTS)
    layers = [int(rng.integers(len(TOY_CLASSES))) for _ in range(num)]
    layers += [None] * int(rng.integers(0, 5))
    rng.shuffle(layers)
    names = list(TOY_CLASSES.values())
    objects: list = []
    # A second round only if no object of the first has found a place.
    while not objects:
        for label in layers:
            if label is None:
                patch, alpha = _clutter(rng, size)
            else:
                side = size * np.exp(
                    rng.uniform(np.log(0.12), np.log(0.8 if num < 3 else 0.5)))
                patch, alpha = _object(rng, *names[label], side)
            _place(rng, image, objects, label, patch, alpha)
    return Scene(
        _finish(rng, image), [obj['label'] for obj in objects],
        [obj['mask'] for obj in objects])


def _place(rng, image, objects, label, patch, alpha) -> None:
    """Paste a patch where it hides none of the earlier objects too much.

    ``image`` and the masks of ``objects`` are changed in place; a labelled
    patch is appended. A patch for which ten draws find no place is left out.
    """
    size, (height, width) = len(image), alpha.shape
    area = int((alpha > 0.5).sum())
    for _ in range(10):
        left = int(rng.uniform(0.05, 0.95) * size - width / 2)
        top = int(rng.uniform(0.05, 0.95) * size - height / 2)
        x1, x2 = max(left, 0), min(left + width, size)
        y1, y2 = max(top, 0), min(top + height, size)
        window = (slice(y1, y2), slice(x1, x2))
        cut = alpha[y1 - top:y2 - top, x1 - left:x2 - left]
        hidden = cut > 0.5
        visible = [
            obj['mask'].sum() - (obj['mask'][window] & hidden).sum()
            for obj in objects
        ]
        enough = all(v >= _MIN_VISIBLE * obj['area']
                     for v, obj in zip(visible, objects))
        if not enough or hidden.sum() < 0.6 * area or hidden.sum() < 20:
            continue
        for obj in objects:
            obj['mask'][window] &= ~hidden
        part = patch[y1 - top:y2 - top, x1 - left:x2 - left]
        image[window] += cut[..., None] * (part - image[window])
        if label is not None:
            mask = np.zeros((size, size), bool)
            mask[window] = hidden
            objects.append(dict(label=label, mask=mask, area=area))
        return


def _object(rng, shape: str, texture: str, side: float):
    """Draw a shape filled with a texture, about ``side`` pixels across."""
    turn = rng.uniform(0, 2 * np.pi)
    stretch = rng.uniform(0.75, 1.0)
    affine = _rotation(turn) @ np.array([[1, rng.uniform(-0.2, 0.2)],
                                         [0, stretch]])  # yapf: disable
    points = _outline(rng, shape) @ affine.T
    points *= side / np.ptp(points, axis=0).max()
    return _patch(rng, points, texture, side)


def _clutter(rng, size: int):
    """Draw what is of no class: a textured blob or bar, or a plain shape."""
    kind = rng.choice(['blob', 'bar', 'plain'])
    side = size * rng.uniform(0.1, 0.4)
    if kind == 'plain':
        return _object(rng, rng.choice(SHAPES),
                       rng.choice(['plain', 'noise']), side)
    points = _outline(rng, kind) @ _rotation(rng.uniform(0, np.pi)).T
    points *= side * (1.5 if kind == 'bar' else 1) / 2
    return _patch(rng, points, rng.choice([*TEXTURES, 'plain', 'noise']), side)


def _outline(rng, shape: str) -> np.ndarray:
    """Get the corners (P, 2) of a shape of about radius 1 around (0, 0)."""
    if shape == 'bar':
        half = rng.uniform(0.08, 0.2)
        return np.array([[-1, -half], [1, -half], [1, half], [-1, half]])
    num = dict(square=4, triangle=3, star=10).get(shape, 48)
    angles = np.arange(num) * 2 * np.pi / num
    radius = np.ones(num)
    if shape == 'star':
        radius[1::2] = rng.uniform(0.4, 0.5)
    elif shape == 'blob':
        # Dented enough not to pass for a disc.
        for k in range(3, 6):
            radius += rng.uniform(0.12, 0.25) * np.cos(
                k * angles + rng.uniform(0, 2 * np.pi))
    return radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)


def _patch(rng, points: np.ndarray, texture: str, side: float):
    """Fill a polygon (P, 2) given in pixels.

    Returns:
        tuple: Colours (h, w, 3) and opacity (h, w), float32.
    """
    low = np.floor(points.min(0)) - 1
    width, height = (np.ceil(points.max(0)) + 1 - low).astype(int)
    large = (width * _OVERSAMPLING, height * _OVERSAMPLING)
    # `shift=4`: corners in sixteenths of a pixel.
    corners = np.round((points - low) * _OVERSAMPLING * 16).astype(np.int32)
    alpha = np.zeros(large[::-1], np.float32)
    cv2.fillPoly(alpha, [corners], 1.0, shift=4)

    grid = [(np.arange(n, dtype=np.float32) + 0.5) / _OVERSAMPLING + o
            for n, o in zip(large, low)]
    x, y = np.meshgrid(*grid)
    x, y = x / (side / 2), y / (side / 2)
    colors = _color_pair(rng)
    mix = _texture(rng, texture, x, y, side)[..., None]
    patch = colors[0] + mix * (colors[1] - colors[0])
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y
    patch *= (1 + rng.uniform(0, 0.4) * slope)[..., None].astype(np.float32)
    if rng.random() < 0.4:
        patch = np.ascontiguousarray(patch, np.float32)
        cv2.polylines(patch, [corners], True, (colors[0] * 0.3).tolist(),
                      max(1, round(side * 0.06)), shift=4)
    area = (int(width), int(height))
    return (cv2.resize(patch, area, interpolation=cv2.INTER_AREA),
            cv2.resize(alpha, area, interpolation=cv2.INTER_AREA))


def _texture(rng, name: str, x, y, side: float) -> np.ndarray:
    """Evaluate a texture on a grid of unit coordinates, float32 in [0, 1]."""
    if name == 'plain':
        return np.zeros_like(x)
    if name == 'noise':
        return _noise(rng, x.shape, 5)
    if name != 'rings':
        turn = _rotation(rng.uniform(0, np.pi)).astype(np.float32)
        x, y = turn[0, 0] * x + turn[0, 1] * y, turn[1, 0] * x + turn[1, 1] * y
    # Periods in a radius; a period keeps at least 3.5 pixels.
    waves = min(rng.uniform(1.3, 2.2), side / 7)
    phase = rng.uniform(0, 2 * np.pi)
    u, v = (np.sin(2 * np.pi * waves * t + phase) for t in (x, y))
    if name == 'stripes':
        value = u
    elif name == 'checks':
        value = u * v
    elif name == 'dots':
        value = u + v - 0.7
    else:
        value = np.sin(2 * np.pi * waves * np.hypot(x, y) + phase)
    return (value > 0).astype(np.float32)


def _background(rng, size: int) -> np.ndarray:
    """Draw one material, or two that meet along a wavy border."""
    image = _material(rng, size)
    if rng.random() < 0.5:
        border = _along(rng, size) + _noise(rng, (size, size), 4) - 0.5
        beyond = border > rng.uniform(-0.3, 0.3)
        image[beyond] = _material(rng, size)[beyond]
    return image


def _material(rng, size: int) -> np.ndarray:
    """Draw noise, a gradient, waves, terraces or strokes, in dull colours."""
    base = rng.uniform(0.1, 0.9, 3)
    base = 0.5 * (base + base.mean())
    other = np.clip(base + rng.normal(0, 0.2, 3), 0, 1)
    kind = rng.choice(['noise', 'gradient', 'waves', 'terraces', 'strokes'])
    mix = noise = _noise(rng, (size, size), 7, rng.uniform(0.5, 0.9))
    if kind == 'gradient':
        mix = 0.6 * _along(rng, size) + 0.5 * noise
    elif kind == 'waves':
        waves = rng.uniform(10, 60) * _along(rng, size)
        mix = 0.5 + 0.5 * np.sin(waves + rng.uniform(2, 9) * noise)
    elif kind == 'terraces':
        mix = np.floor(noise * rng.integers(3, 7)) / 4
    elif kind == 'strokes':
        mix = _strokes(rng, size)
    image = base + mix[..., None] * (other - base)
    image += 0.15 * (_noise(rng, (size, size), 8, 0.9)[..., None] - 0.5)
    return image.astype(np.float32)


def _strokes(rng, size: int) -> np.ndarray:
    """Draw many short lines of about one direction, as grass or hair."""
    field = np.zeros((size, size), np.float32)
    starts = rng.uniform(0, size, (300, 2))
    angles = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.4, 300)
    lengths = size * rng.uniform(0.03, 0.15, 300)
    ends = starts + lengths[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], 1)
    lines = np.round(np.stack([starts, ends], 1) * 16).astype(np.int32)
    for line, value in zip(lines, rng.random(300)):
        cv2.polylines(field, [line], False, float(value), 1, shift=4)
    return field


def _finish(rng, image: np.ndarray) -> np.ndarray:
    """Add light, shadow, blur and sensor noise; return uint8."""
    size = len(image)
    along = _along(rng, size)
    light = rng.uniform(0.75, 1.25) + rng.uniform(0, 0.7) * along
    if rng.random() < 0.3:
        edge = (along - rng.uniform(-0.3, 0.3)) * 30
        light *= 1 - 0.4 / (1 + np.exp(-edge))
    image = image * light[..., None]
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    image += rng.normal(0, rng.uniform(0.005, 0.03), image.shape)
    image = np.clip(image, 0, 1)**rng.uniform(0.75, 1.35)
    return np.round(image * 255).astype(np.uint8)


def _along(rng, size: int) -> np.ndarray:
    """Get the coordinate along a random direction, about -0.5 to 0.5."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    return np.cos(angle) * x + np.sin(angle) * y


def _noise(rng, shape: tuple, octaves: int, gain=0.6) -> np.ndarray:
    """Draw smooth noise (H, W), float32, stretched to [0, 1]."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cells = rng.random((2**octave + 1, 2**octave + 1), dtype=np.float32)
        total += gain**octave * cv2.resize(
            cells, shape[::-1], interpolation=cv2.INTER_CUBIC)
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _color_pair(rng) -> np.ndarray:
    """Draw two colours (2, 3) that can be told apart in gray as well."""
    while True:
        pair = rng.random((2, 3), dtype=np.float32)
        if abs(np.diff(pair.mean(1))[0]) > 0.25:
            return pair


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)],
                     [np.sin(angle), np.cos(angle)]])  # yapf: disable
