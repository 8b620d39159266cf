# Copyright (c) mmloc contributors. All rights reserved.
"""The boxes of a whole set of images in one file (.mmprop).

Every number is little-endian. The header fills the first 256 bytes::

    0    8 s     magic, b'\\x89MMPROP\\n'
    8    uint32  version, 1
    12   uint32  CRC-32 of the header with zeros in this place
    16   uint64  size of the file in bytes
    24   uint64  n, number of images
    32   uint64  m, number of boxes
    40   8 times two uint64: offset and size in bytes of each section
    168  zeros

Sections begin at multiples of 64 bytes, in this order, zeros between them:

============ ============= ============================================
section      type          meaning
============ ============= ============================================
params       UTF-8         JSON object: how the boxes were made
boxes        float32 (m,4) x1, y1, x2, y2 in pixels of the upright image
box_ends     uint64 (n+1)  image i has the boxes [ends[i], ends[i+1])
sizes        uint32 (n,2)  width and height in pixels
names        UTF-8         all names, one after another
name_ends    uint64 (n+1)  name i is the bytes [ends[i], ends[i+1])
hashes       uint64 (n)    rising BLAKE2b-64 of the names, little-endian
order        uint32 (n)    the image that each hash belongs to
============ ============= ============================================

Looking up a name is a binary search in ``hashes``; equal hashes stand side
by side and the name itself decides.
"""
import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SUFFIX = '.mmprop'
MAGIC = b'\x89MMPROP\n'
VERSION = 1
HEADER = struct.Struct('<8sIIQQQ16Q')
HEADER_SIZE = 256
ALIGN = 64
#: Section -> type and shape of a row; rows are counted by ``num_rows``.
SECTIONS = {
    'params': ('u1', ()),
    'boxes': ('<f4', (4, )),
    'box_ends': ('<u8', ()),
    'sizes': ('<u4', (2, )),
    'names': ('u1', ()),
    'name_ends': ('<u8', ()),
    'hashes': ('<u8', ()),
    'order': ('<u4', ()),
}


class Proposals(NamedTuple):
    """The boxes of an image.

    Attributes:
        name (str): Path of the image relative to the root of its set, with
            forward slashes.
        width (int): Of the upright image, in pixels.
        height (int): Of the upright image, in pixels.
        boxes (np.ndarray): (n, 4), float32, xyxy in pixels; n may be 0.
    """
    name: str
    width: int
    height: int
    boxes: np.ndarray


def encode_name(name: str) -> bytes:
    """The bytes that are stored for a name."""
    # File names on Linux need not be valid UTF-8.
    return name.encode('utf-8', 'surrogateescape')


def decode_name(name: bytes) -> str:
    """The name that stored bytes stand for."""
    return name.decode('utf-8', 'surrogateescape')


def hash_name(name: bytes) -> int:
    """The 64-bit key under which stored bytes are found."""
    return int.from_bytes(
        hashlib.blake2b(name, digest_size=8).digest(), 'little')


def checksum_of(header: Sequence) -> int:
    """CRC-32 of the fields of ``HEADER``, its own counted as zero."""
    return zlib.crc32(HEADER.pack(*header[:2], 0, *header[3:]))


def num_rows(num_images: int, num_boxes: int) -> dict[str, int]:
    """Rows of the sections whose length the counts decide."""
    return dict(
        boxes=num_boxes,
        box_ends=num_images + 1,
        sizes=num_images,
        name_ends=num_images + 1,
        hashes=num_images,
        order=num_images)
