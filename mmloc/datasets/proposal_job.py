# Copyright (c) mmloc contributors. All rights reserved.
"""Which images proposals are computed of, and which part of them."""
import hashlib
import os.path as osp
import re
from dataclasses import dataclass

from .archives import strip_scheme
from .image_sources import image_prefix, read_images
from .image_table import image_name


@dataclass
class ImageNames:
    """The images of a source, as paths relative to a prefix.

    Args:
        prefix (str): What :func:`~.image_sources.image_prefix` returns.
        names (list[str]): The paths, each once, in the order of the source.
        num_repeated (int): Entries left out because their path came before.
    """
    prefix: str
    names: list[str]
    num_repeated: int

    @classmethod
    def read(cls, source: str, root: str | None = None) -> 'ImageNames':
        """Read a source.

        Args:
            source (str): Folder tree, zip, ``.txt`` list or COCO ``.json``.
            root (str, optional): Folder or zip that the names in a list or
                json start from. Defaults to the folder of the list.

        Returns:
            ImageNames: The images.

        Raises:
            FileNotFoundError: The source is missing.
            ValueError: The source is of another kind or empty, or there is a
                root for a folder or zip.
        """
        listed = (
            source.lower().endswith(('.txt', '.json'))
            and not osp.isdir(source))
        if root is not None and not listed:
            raise ValueError(
                f'There is a root, {root!r}, for {source!r}, which is no .txt '
                'list or COCO .json; leave the root out.')
        root = osp.dirname(source) if root is None else root
        ann_file, folder = (source, root) if listed else ('', source)
        infos = read_images(ann_file, folder)
        prefix = image_prefix(ann_file, folder)
        names = dict.fromkeys(
            image_name(info['img_path'], prefix) for info in infos)
        return cls(prefix, list(names), len(infos) - len(names))

    def describe(self) -> dict:
        """Describe the source, to tell it from others.

        Returns:
            dict: ``images``, a text made of their number and a digest of
            their names, and ``root``, where they are.
        """
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(name.encode('utf-8', 'surrogateescape') + b'\0')
        return dict(
            images=f'{len(self.names)} images with names of SHA-256 '
                   f'{digest.hexdigest()}',
            root=osp.abspath(strip_scheme(self.prefix)))


@dataclass(frozen=True)
class Shard:
    """A contiguous part of a set, so that merging is to join the parts.

    Args:
        number (int): From 1.
        count (int): Number of shards.

    Raises:
        ValueError: The number is not among 1 to ``count``.
    """
    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            last = max(self.count, 1)
            raise ValueError(f'The shard is {self}, expected one of 1/{last} '
                             f'to {last}/{last}.')

    @classmethod
    def parse(cls, text: str) -> 'Shard':
        """Read a shard's name.

        Args:
            text (str): Such as '2/16'.

        Returns:
            Shard: The shard.

        Raises:
            ValueError: The text is of another form.
        """
        found = re.fullmatch(r'(\d+)/(\d+)', text)
        if not found:
            raise ValueError(f'The shard is {text!r}, expected i/n such as '
                             '1/8, the first of eight.')
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return f'{self.number}/{self.count}'

    def range(self, size: int) -> range:
        """Choose items.

        Args:
            size (int): Number of all items.

        Returns:
            range: Those of the shard.
        """
        ends = (size * (self.number - 1) // self.count,
                size * self.number // self.count)
        return range(*ends)

    def path(self, out: str) -> str:
        """Name the file of the shard.

        Args:
            out (str): File of the whole set.

        Returns:
            str: Such as ``OUT.shard02of16``; ``out`` if there is one shard.
        """
        if self.count == 1:
            return out
        digits = len(str(self.count))
        return f'{out}.shard{self.number:0{digits}}of{self.count}'


#: The shard that is the whole set.
WHOLE = Shard()
