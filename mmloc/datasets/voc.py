# Copyright (c) mmloc contributors. All rights reserved.
"""Sets in Pascal VOC's form: lists of images and annotations in XML."""
import os.path as osp
from pathlib import Path

from .image_names import IMG_SUFFIXES
from .proposal_job import ImageNames

#: Names that the folders have, in VOC and in sets that resemble it.
IMAGE_FOLDERS = ('JPEGImages', 'images', 'Images', 'imgs')
XML_FOLDERS = ('Annotations', 'annotations', 'annots', 'labels')


def read_split(source: str, root: str | None = None) -> ImageNames:
    """Read the images of a source or of a set in VOC's form.

    Args:
        source (str): As for :meth:`ImageNames.read`, or a folder with
            ``JPEGImages`` in it, of which only these are read, or a list in
            its ``ImageSets``, which names images without suffix.
        root (str, optional): As for :meth:`ImageNames.read`. Defaults to
            None.

    Returns:
        ImageNames: The images.

    Raises:
        FileNotFoundError: The source is missing, or an image of VOC's list.
        ValueError: The source is of another kind or empty.
    """
    if root is None and (Path(source) / 'JPEGImages').is_dir():
        return ImageNames.read(osp.join(source, 'JPEGImages'))
    if root is None and 'ImageSets' in Path(source).parts[:-1]:
        return _read_list(Path(source))
    return ImageNames.read(source, root)


def list_stems(path: Path) -> list[str]:
    """Read a list in ImageSets, of a class or of all.

    Args:
        path (Path): Each line begins with the name of an image without its
            suffix; in the list of a class -1 follows, if it is not there.

    Returns:
        list[str]: The names, each once, in order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It names nothing.
    """
    lines = [line.split() for line in
             path.read_text(encoding='utf-8-sig').splitlines()]
    stems = dict.fromkeys(
        line[0] for line in lines if line and line[1:] != ['-1'])
    if not stems:
        raise ValueError(f'The list {str(path)!r} names 0 images, expected '
                         'one name without suffix a line.')
    return list(stems)


def _read_list(path: Path) -> ImageNames:
    stems = list_stems(path)
    home = path.parents[len(path.parts) - 1 - path.parts.index('ImageSets')]
    folder = home / 'JPEGImages'
    names = files_by_stem(folder)
    missing = [stem for stem in stems if stem not in names]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(stems)} images that {str(path)!r} '
            f'names are not in {str(folder)!r}, the first being '
            f'{missing[0]!r}; complete the folder or the list.')
    return ImageNames(str(folder), [names[stem] for stem in stems], 0)


def files_by_stem(folder: Path) -> dict[str, str]:
    """Find the images of a folder by their names without suffix.

    Args:
        folder (Path): The folder; those below it are not looked at.

    Returns:
        dict[str, str]: Name without suffix -> name.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    return {
        path.stem: path.name for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMG_SUFFIXES and path.name[0] != '.'
    }
