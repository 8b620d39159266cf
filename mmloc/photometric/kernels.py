# Copyright (c) mmloc contributors. All rights reserved.
"""Colour transforms of one image on the CPU, bit for bit those of Pillow.

The published code of MoCo-v2, InsLoc and SoCo changes colours by torchvision
on RGB images of Pillow. These functions give the same bytes several times
faster. Images are uint8 (H, W, 3), BGR, and never written to; planes are
uint8 (3, H, W), B, G and R, which the machine's vector units can work on, and
are changed in place.
"""
from collections.abc import Sequence

import cv2
import numpy as np

from mmloc.utils.compiled import compiled

#: Factors of the operations of :func:`jitter` that change nothing.
NEUTRAL = (1, 1, 1, -1)
#: The passes of a box blur that make up Pillow's Gaussian blur.
PASSES = 3


def jitter(img: np.ndarray, order: Sequence[int],
           factors: Sequence[float]) -> np.ndarray:
    """Change brightness, contrast, saturation and hue.

    Args:
        img (np.ndarray): (H, W, 3).
        order (Sequence[int]): The operations in the order in which they act,
            0 to 3 as they are named above.
        factors (Sequence[float]): By operation. The first three blend the
            image with black, with its mean grey and with its grey version,
            and 1 changes nothing; the last is added to the hue, in steps of
            1 / 256 of the colour circle, from 0 to 255. 0 rounds colours to
            what 8-bit hues can express, -1 changes nothing.

    Returns:
        np.ndarray: (H, W, 3).
    """
    planes = np.stack(cv2.split(img))
    for operation in order:
        factor = np.float32(factors[operation])
        if factor == NEUTRAL[operation]:
            continue
        if operation == 0:
            _blend_constant(planes, np.float32(0), factor)
        elif operation == 1:
            # Exact: the sum of integers.
            mean = np.floor(cv2.mean(_grey_plane(planes))[0] + 0.5)
            _blend_constant(planes, np.float32(mean), factor)
        elif operation == 2:
            _adjust_saturation(*planes, factor)
        else:
            _adjust_hue(*planes, np.int32(factor))
    return cv2.merge(list(planes))


def to_grey(img: np.ndarray) -> np.ndarray:
    """Turn an image grey.

    Args:
        img (np.ndarray): (H, W, 3).

    Returns:
        np.ndarray: (H, W, 3), three equal channels.
    """
    return cv2.merge([_grey_plane(np.stack(cv2.split(img)))] * 3)


def solarize(img: np.ndarray, threshold: float) -> np.ndarray:
    """Invert the values from a threshold on.

    Args:
        img (np.ndarray): (H, W, 3).
        threshold (float): Values below it stay.

    Returns:
        np.ndarray: (H, W, 3).
    """
    values = np.arange(256)
    table = np.where(values < threshold, values, 255 - values)
    return cv2.LUT(img, table.astype(np.uint8))


def gaussian_blur(img: np.ndarray, sigma: float) -> np.ndarray:
    """Blur as Pillow does: by three box blurs of rows, then of columns.

    Args:
        img (np.ndarray): (H, W, C).
        sigma (float): Standard deviation in pixels.

    Returns:
        np.ndarray: (H, W, C).
    """
    radius, inner, outer = box_weights(sigma)
    for _ in range(2):
        img = cv2.transpose(img)
        source = img.reshape(len(img), -1)
        result = np.empty_like(source)
        for _ in range(PASSES):
            _box_blur_columns(source, radius, inner, outer, result)
            source, result = result, source
        img = source.reshape(img.shape)
    return img


def box_weights(sigma: float) -> tuple[int, int, int]:
    """The box blur that, done three times, stands for a Gaussian.

    Boxes have sides of any length; the pixels at their ends count in part
    (Gwosdek et al., Theoretical Foundations of Gaussian Convolution by
    Extended Box Filtering, 2011, Eq. 7, 11 and 14).

    Args:
        sigma (float): Standard deviation in pixels.

    Returns:
        tuple[int, int, int]: Number of whole pixels on each side of the
        centre, their weight, and the weight of the two beyond, in units of
        2**-24.
    """
    one = np.float32(1)
    variance = np.float32(sigma) * np.float32(sigma) / np.float32(PASSES)
    side = np.float32(np.sqrt(12.0 * float(variance) + 1.0))
    whole = np.float32(np.floor((float(side) - 1) / 2))
    part = (2 * whole + one) * (whole * (whole + one) - 3 * variance)
    part /= 6 * (variance - (whole + one) * (whole + one))
    inner = int(np.float32(1 << 24) / ((whole + part) * 2 + one))
    radius = int(whole + part)
    return radius, inner, ((1 << 24) - (2 * radius + 1) * inner) // 2


def fill_squares(img: np.ndarray, squares: np.ndarray,
                 colour: np.ndarray) -> np.ndarray:
    """Cover rectangles by one colour.

    Args:
        img (np.ndarray): (H, W, 3).
        squares (np.ndarray): int (n, 4), x1, y1, x2, y2 with x2 and y2
            excluded, none negative.
        colour (np.ndarray): (3, ), BGR.

    Returns:
        np.ndarray: (H, W, 3).
    """
    img = img.copy()
    for x1, y1, x2, y2 in squares:
        img[y1:y2, x1:x2] = colour
    return img


def _grey_plane(planes: np.ndarray) -> np.ndarray:
    """Pillow's grey, (H, W)."""
    grey = np.empty_like(planes[0])
    _write_grey(*planes, grey)
    return grey


@compiled
def _write_grey(b: np.ndarray, g: np.ndarray, r: np.ndarray,
                out: np.ndarray) -> None:
    """Weigh the channels in units of 2**-16."""
    for y in range(len(out)):
        for x in range(out.shape[1]):
            out[y, x] = (
                np.int32(b[y, x]) * np.int32(7471) +
                np.int32(g[y, x]) * np.int32(38470) +
                np.int32(r[y, x]) * np.int32(19595) +
                np.int32(32768)) >> np.int32(16)


@compiled
def _blend_constant(planes: np.ndarray, base: np.float32,
                    factor: np.float32) -> None:
    """Blend with one grey, and cut off the decimals."""
    low, high = np.float32(0), np.float32(255)
    values = planes.reshape(-1)
    for i in range(len(values)):
        value = base + factor * (np.float32(values[i]) - base)
        values[i] = np.int32(min(max(value, low), high))


@compiled
def _adjust_saturation(b: np.ndarray, g: np.ndarray, r: np.ndarray,
                       factor: np.float32) -> None:
    """Blend with the grey version, and cut off the decimals."""
    low, high = np.float32(0), np.float32(255)
    for y in range(len(b)):
        for x in range(b.shape[1]):
            blue, green, red = b[y, x], g[y, x], r[y, x]
            grey = np.float32(
                (np.int32(blue) * np.int32(7471) +
                 np.int32(green) * np.int32(38470) +
                 np.int32(red) * np.int32(19595) +
                 np.int32(32768)) >> np.int32(16))
            b[y, x] = np.int32(
                min(max(grey + factor * (np.float32(blue) - grey), low), high))
            g[y, x] = np.int32(
                min(max(grey + factor * (np.float32(green) - grey), low),
                    high))
            r[y, x] = np.int32(
                min(max(grey + factor * (np.float32(red) - grey), low), high))


@compiled
def _adjust_hue(b: np.ndarray, g: np.ndarray, r: np.ndarray,
                shift: np.int32) -> None:
    """Turn the hue, by way of 8-bit hue, saturation and value.

    Pillow computes in float64 in places. Here every value is a float32, from
    integers on by as few roundings as there, so that the results are equal;
    they were compared for all colours.
    """
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    two, four = np.float32(2), np.float32(4)
    six, full = np.float32(6), np.float32(255)
    for y in range(len(b)):
        for x in range(b.shape[1]):
            blue = np.float32(b[y, x])
            green = np.float32(g[y, x])
            red = np.float32(r[y, x])
            value = max(red, max(green, blue))
            spread = value - min(red, min(green, blue))
            scale = max(spread, one)
            # Distances from the largest channel; the smallest one has 1.
            far_r = (value - red) / scale
            far_g = (value - green) / scale
            far_b = (value - blue) / scale
            base = zero if red == value else (two if green == value else four)
            plus = far_b if red == value else (
                far_r if green == value else far_g)
            minus = far_g if red == value else (
                far_b if green == value else far_r)
            hue = (base + one) - minus if plus >= minus else (
                (base - one) + plus)
            hue = hue / six
            hue = hue + one if hue < zero else hue
            turned = np.int32(hue * full) if spread > zero else np.int32(0)
            turned = (turned + shift) & np.int32(255)
            strength = np.float32(
                np.int32(spread / max(value, one) * full)) / full
            angle = np.float32(turned) * six / full
            sector = np.float32(np.int32(angle))
            rest = angle - sector
            low = np.float32(np.int32(value * (one - strength) + half))
            falling = np.float32(
                np.int32(value * (one - strength * rest) + half))
            rising = np.float32(
                np.int32(value * (one - strength * (one - rest)) + half))
            r[y, x] = np.int32(
                value if sector == zero or sector >= np.float32(5) else
                (falling if sector == one else
                 (rising if sector == four else low)))
            g[y, x] = np.int32(
                rising if sector == zero or sector == six else
                (value if sector <= two else
                 (falling if sector == np.float32(3) else low)))
            b[y, x] = np.int32(
                low if sector <= one or sector == six else
                (rising if sector == two else
                 (value if sector <= four else falling)))


@compiled
def _box_blur_columns(img: np.ndarray, radius: int, inner: int, outer: int,
                      out: np.ndarray) -> None:
    """Blur each column of (H, W); beyond the ends it goes on as there."""
    inner, outer = np.uint32(inner), np.uint32(outer)
    half, bits = np.uint32(1 << 23), np.uint32(24)
    last, width = len(img) - 1, img.shape[1]
    total = np.empty(width, np.uint32)
    for y in range(last + 1):
        centre, result = img[y], out[y]
        for x in range(width):
            total[x] = centre[x]
        for step in range(1, radius + 1):
            above, below = img[max(y - step, 0)], img[min(y + step, last)]
            for x in range(width):
                total[x] += np.uint32(above[x]) + np.uint32(below[x])
        above = img[max(y - radius - 1, 0)]
        below = img[min(y + radius + 1, last)]
        for x in range(width):
            ends = np.uint32(above[x]) + np.uint32(below[x])
            result[x] = (total[x] * inner + ends * outer + half) >> bits
