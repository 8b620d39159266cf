# Copyright (c) mmloc contributors. All rights reserved.
import os
import os.path as osp
from collections.abc import Iterable, Sequence

import numpy as np

from .archives import has_scheme
from .packed_names import PackedNames, decode, encode


class ImageTable(Sequence):
    """The images of a source as a few flat arrays.

    As a sequence it holds a new dict for each image: ``img_path`` (str),
    ``img_id`` (int, the row) and, where the source knows them, ``height`` and
    ``width`` (int, pixels). Slices and lists of rows give a smaller table in
    which the images keep their ids.

    Args:
        prefix (str): What the paths begin with, see
            :func:`~.image_sources.image_prefix`.
        names (PackedNames): Names of the images.
        sizes (np.ndarray, optional): (N, 2), int32, height and width; 0 where
            they are not known. Defaults to None, for none known.
        rows (np.ndarray, optional): (M, ), int64, the rows that are left.
            Defaults to None, for all.
    """

    def __init__(self,
                 prefix: str,
                 names: PackedNames,
                 sizes: np.ndarray | None = None,
                 rows: np.ndarray | None = None) -> None:
        self.prefix = prefix
        self._names = names
        self._sizes = sizes
        self._rows = rows

    @classmethod
    def of(cls, prefix: str, names: Iterable[str],
           sizes: Sequence[tuple[int, int]] | None = None) -> 'ImageTable':
        """Make a table.

        Args:
            prefix (str): As for the constructor.
            names (Iterable[str]): Names of the images, in their order.
            sizes (Sequence[tuple[int, int]], optional): Heights and widths,
                0 where not known. Defaults to None.

        Returns:
            ImageTable: The table.
        """
        if sizes is not None:
            sizes = np.array(sizes, np.int32).reshape(-1, 2)
        return cls(prefix, PackedNames.pack(map(encode, names)), sizes)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that has to be kept besides the prefix."""
        arrays = dict(ends=self._names.ends, names=self._names.blob)
        return arrays if self._sizes is None else dict(
            arrays, sizes=self._sizes)

    @classmethod
    def from_arrays(cls, prefix: str,
                    arrays: dict[str, np.ndarray]) -> 'ImageTable':
        """Undo :meth:`arrays`."""
        return cls(prefix, PackedNames(arrays['names'], arrays['ends']),
                   arrays.get('sizes'))

    def __len__(self) -> int:
        return len(self._names if self._rows is None else self._rows)

    def __getitem__(self, index: int | slice | Sequence[int]
                    ) -> 'dict | ImageTable':
        if not isinstance(index, (int, np.integer)):
            rows = np.arange(len(self._names)) if (
                self._rows is None) else self._rows
            index = index if isinstance(index, slice) else list(index)
            return ImageTable(self.prefix, self._names, self._sizes,
                              rows[index])
        row = range(len(self))[index]
        if self._rows is not None:
            row = int(self._rows[row])
        info = dict(
            img_path=image_path(decode(self._names[row]), self.prefix),
            img_id=row)
        if self._sizes is not None:
            sizes = zip(('height', 'width'), self._sizes[row].tolist())
            info.update({key: size for key, size in sizes if size})
        return info


def image_name(img_path: str, prefix: str) -> str:
    """Name an image in a way that does not depend on where the set lies.

    Args:
        img_path (str): Path of the image.
        prefix (str): What :func:`~.image_sources.image_prefix` returned
            for its source.

    Returns:
        str: POSIX path relative to the folder or the archive of the images;
        of an image that a list names elsewhere, its path as it is.
    """
    start = osp.join(prefix, '') if prefix else ''
    return img_path.removeprefix(start).replace(os.sep, '/')


def image_path(name: str, prefix: str) -> str:
    """Undo :func:`image_name`.

    Args:
        name (str): Name of an image.
        prefix (str): What :func:`~.image_sources.image_prefix` returns.

    Returns:
        str: Path by which the image is read.
    """
    # Names in an archive are no paths: one may begin with a slash.
    if has_scheme(prefix):
        return f'{prefix}/{name}'
    return osp.join(prefix, name)
