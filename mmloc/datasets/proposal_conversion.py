# Copyright (c) mmloc contributors. All rights reserved.
"""Convert proposals between mmloc's file and those of other projects."""
import os.path as osp
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO

from mmengine import fileio
from PIL import ExifTags, Image, UnidentifiedImageError

from mmloc.proposals import ProposalFile, write_proposals
from mmloc.proposals.coco_format import read_coco, sniff_json, write_coco
from mmloc.proposals.file_layout import SUFFIX, Proposals
from mmloc.proposals.formats import (
    as_stored,
    read_detreg,
    read_soco,
    refuse_existing_folder,
    write_detreg,
    write_soco,
)
from mmloc.utils.files import refuse_existing

from .image_sources import image_prefix, read_images
from .image_table import image_name
from .transforms.loading import any_size

#: mmloc's file, a json by stem, a COCO json, a folder of .npy by stem.
FORMS = ('mmprop', 'soco', 'coco', 'detreg')
#: Passes items on and shows progress, as :func:`mmloc.utils.progress.track`.
Track = Callable[[Iterable, int, str], Iterator]


def _untracked(items: Iterable, total: int, what: str) -> Iterator:
    return iter(items)


def convert_proposals(source: str,
                      out: str,
                      form: str | None = None,
                      to: str | None = None,
                      images: str | None = None,
                      img_prefix: str = '',
                      overwrite: bool = False,
                      track: Track = _untracked) -> int:
    """Read proposals in one form and write them in another.

    Args:
        source (str): What is converted.
        out (str): What is written, atomically.
        form (str, optional): Form of ``source``, one of ``FORMS``. Defaults
            to None: told by its suffix and the first key of a json.
        to (str, optional): Form of ``out``. Defaults to None: told by its
            suffix.
        images (str, optional): The images of 'soco' or 'detreg', which
            store neither folders nor sizes, and boxes in pixels of the
            image without its EXIF orientation: a folder, a zip, a .txt list
            or a COCO .json. Defaults to None.
        img_prefix (str): Folder that the names of a list start from.
            Defaults to ''.
        overwrite (bool): Whether to replace ``out``, but no folder of
            'detreg'. Defaults to False.
        track (Track): Shows progress. Defaults to nothing.

    Returns:
        int: Number of images written.

    Raises:
        FileNotFoundError: The source or an image is missing.
        ValueError: The source is not of its form, an argument is missing, or
            ``out`` is there and ``overwrite`` is not given.
    """
    form = form or guess_source(source)
    to = to or guess_out(out)
    if (form == 'mmprop') == (to == 'mmprop'):
        raise ValueError(
            f'{source!r} is {form} and {out!r} shall be {to}, but exactly '
            f'one of them must be mmprop: go by way of a {SUFFIX} file.')
    if to == 'detreg':
        refuse_existing_folder(out)
    else:
        refuse_existing(out, overwrite)
    other, path = (to, out) if form == 'mmprop' else (form, source)
    if other != 'coco' and not images:
        raise ValueError(
            f'{path!r} is {other}, which stores neither folders nor image '
            'sizes nor turned images: name its images by --images.')
    infos = {} if other == 'coco' else _list_images(images, img_prefix)
    if form == 'mmprop':
        return _export(source, out, to, infos, overwrite, track)
    params, num = {}, len(infos)
    if form == 'coco':
        params, num, records = read_coco(source)
    else:
        reader = read_soco if form == 'soco' else read_detreg
        records = reader(source, infos, lambda name: image_size(infos[name]))
    params = params or dict(
        converted_from=form, source=osp.basename(osp.normpath(source)))
    return write_proposals(out, track(records, num, 'images'), params,
                           overwrite)


def _export(source: str, out: str, to: str, infos: dict[str, dict],
            overwrite: bool, track: Track) -> int:
    """Write a proposal file in another form; returns the number of images."""
    proposals = ProposalFile(source)
    num = len(proposals)
    if to == 'detreg':
        write_detreg(out, track(_stored(proposals, infos), num, 'images'))
    elif to == 'soco':
        write_soco(
            out, track(_stored(proposals, infos), num, 'images'), overwrite)
    else:
        write_coco(out, _Tracked(proposals, track), proposals.params,
                   overwrite)
    return num


def _stored(proposals: ProposalFile,
            infos: dict[str, dict]) -> Iterator[Proposals]:
    """Records in pixels of the images as they are stored."""
    for record in proposals:
        if record.name not in infos:
            raise ValueError(
                f'{record.name!r} of {proposals.path!r} is not among the '
                f'{len(infos)} images of --images, expected those that the '
                'file was made from.')
        yield as_stored(record, image_size(infos[record.name]))


class _Tracked:
    """A proposal file that shows how far it is, each time it is read."""

    def __init__(self, proposals: ProposalFile, track: Track) -> None:
        self._proposals = proposals
        self._track = track

    def __iter__(self) -> Iterator[Proposals]:
        return self._track(self._proposals, len(self._proposals), 'images')


def guess_source(path: str) -> str:
    """Tell the form of what is there.

    Args:
        path (str): A file or a folder.

    Returns:
        str: One of ``FORMS``.

    Raises:
        FileNotFoundError: There is nothing.
        ValueError: It is a json of neither form.
    """
    if osp.isdir(path):
        return 'detreg'
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path!r} does not exist: check the path.')
    if path.lower().endswith('.json'):
        return sniff_json(path)
    return 'mmprop'


def guess_out(path: str) -> str:
    """Tell the form that a name stands for.

    Args:
        path (str): Name of the output.

    Returns:
        str: One of ``FORMS``.

    Raises:
        ValueError: The name does not tell.
    """
    if path.endswith(SUFFIX):
        return 'mmprop'
    raise ValueError(
        f'{path!r} may be of any form, as it does not end in {SUFFIX}: say '
        f'--to {", --to ".join(FORMS[1:])}.')


def _list_images(source: str, prefix: str) -> dict[str, dict]:
    """List images under the names that proposal files know them by.

    Args:
        source (str): A folder, a zip, a .txt list or a COCO .json.
        prefix (str): Folder that the names of a list start from.

    Returns:
        dict[str, dict]: Name to ``img_path`` and perhaps the size.
    """
    if osp.isdir(source):
        source, prefix = '', source
    start = image_prefix(source, prefix)
    return {
        image_name(info['img_path'], start): info
        for info in read_images(source, prefix)
    }


def image_size(info: dict) -> tuple[int, int, int]:
    """Find the size of an image, in a json or in the image itself.

    Args:
        info (dict): ``img_path`` and perhaps ``width`` and ``height``.

    Returns:
        tuple[int, int, int]: Width and height as stored and the orientation
        in the EXIF data, 1 (upright) if there is none or a json gave the
        size.

    Raises:
        ValueError: The image cannot be read.
    """
    if 'width' in info and 'height' in info:
        return info['width'], info['height'], 1
    path = info['img_path']
    file = BytesIO(fileio.get(path)) if '://' in path else path
    try:
        # Only the header is read, which any image may have.
        with any_size(), Image.open(file) as img:
            orientation = img.getexif().get(ExifTags.Base.Orientation, 1)
            orientation = orientation if orientation in range(1, 9) else 1
            width, height = img.size
            if img.format == 'TIFF':  # Pillow swaps the sides of some
                width, height = (
                    img.tag_v2[tag] for tag in (ExifTags.Base.ImageWidth,
                                                ExifTags.Base.ImageLength))
            return width, height, orientation
    except UnidentifiedImageError as error:
        raise ValueError(
            f'The size of the image {path!r} cannot be read: the file is '
            'damaged or no image; replace it, or leave it out of --images by '
            'means of a list.') from error
