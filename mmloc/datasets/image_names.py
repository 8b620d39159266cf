# Copyright (c) mmloc contributors. All rights reserved.
import re

#: Suffixes taken for images, compared without regard to case.
IMG_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff',
                '.ppm', '.pgm')
_SUFFIXES = tuple(map(str.encode, IMG_SUFFIXES))
#: A part of a member's name; ``.`` and ``..`` are taken as they are.
_HIDDEN = re.compile(rb'\.(?!\.?$)|__MACOSX$')


def is_image(name: bytes) -> bool:
    """Whether a file is an image, by its name, that is not hidden.

    Args:
        name (bytes): Path relative to the folder that is read.

    Returns:
        bool: False also in a folder that is hidden, or in the ``__MACOSX``
        folder of hidden files.
    """
    if not name.lower().endswith(_SUFFIXES):
        return False
    # Most names need no closer look.
    return not (b'/.' in name or name[:1] == b'.' or b'__MACOSX' in name
                ) or not any(map(_HIDDEN.match, name.split(b'/')))
