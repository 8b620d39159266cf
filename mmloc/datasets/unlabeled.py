# Copyright (c) mmloc contributors. All rights reserved.
import logging
import os.path as osp

from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log

from mmloc.registry import DATASETS

from .image_checks import check_images_exist
from .image_sources import read_images
from .image_table import ImageTable, image_name
from .redraw import RedrawMixin
from .transforms.loading import UnreadableImageError
from .unreadable import UnreadableImages


@DATASETS.register_module()
class UnlabeledImageDataset(RedrawMixin, BaseDataset):
    """Images without labels from a folder, archives, a list or a COCO json.

    Each item holds ``img_path`` (str), ``img_id`` (int, the place in the
    sorted folder or in the list), ``img_name`` (str, the POSIX path relative
    to the folder or archive of the images, by which proposal files know it)
    and, from a json that gives them, ``height`` and ``width`` (int, pixels).

    The list of images is a few flat arrays that forked workers share. That of
    50,000 images or more is kept on disk and mapped from there by all
    processes, until the source changes: :class:`~.index_cache.IndexCache`.

    Args:
        ann_file (str): ``''`` reads the folder tree or the archive
            ``data_prefix``; a ``.txt`` names one image a line, with or
            without a class label behind it; a ``.json`` is COCO's, whose
            annotations are ignored; of a ``.zip``, ``.tar`` or ``.lmdb`` all
            images are read.
            Relative to ``data_root``. Defaults to ''.
        data_root (str): Folder that ``ann_file`` and ``data_prefix`` start
            from. Defaults to ''.
        data_prefix (dict): ``dict(img='train2017/')`` as in mmdet, or
            ``dict(img_path=...)`` as in mmengine: the folder of the images,
            relative to ``data_root``. It may be a zip, a tar or an LMDB, a
            folder in one (``'train.zip/images'``), or several of them
            (``'train-{000..146}.tar'``, ``'train-*.tar'``: shards of
            WebDataset), out of which the images are then read; their
            ``img_path`` begins with ``zip://``, ``tar://`` or ``lmdb://``.
            Defaults to ``dict(img='')``.
        check_exists (str): Which of the listed files must be there when the
            source is read: ``'sample'`` (64 spread over the list), ``'all'``
            or ``'none'``. A folder needs no check. Defaults to 'sample'.
        backend_args (dict, optional): Of :mod:`mmengine.fileio`, for a list
            or folder on a remote storage; ``mmloc.LoadImage`` takes them as
            well. Defaults to None.
        on_corrupt (str): ``'error'`` stops at an image that cannot be read,
            with a sentence that names it. ``'skip'`` notes the file and
            draws another image. Each worker notes for itself, in
            :attr:`unreadable`; ``mmloc.UnreadableImagesHook`` lists what all
            of them have met. It needs ``mmloc.LoadImage`` in the pipeline.
            Defaults to 'error'.
        max_corrupt (int or float): How many different files may be skipped
            before training stops: a number (int), or a share of the images
            (float), rounded up. Each worker compares its own count with it,
            the hook that of all workers. Defaults to 0.01.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`;
            ``serialize_data`` changes nothing.

    Raises:
        FileNotFoundError: The folder, the list or a listed file is missing.
        ValueError: An argument or the source is not of the expected form, or
            the source holds no image.

    Attributes:
        unreadable (UnreadableImages): The files that this process skipped.
    """

    METAINFO = dict(dataset_type='unlabeled_images')

    def __init__(self,
                 ann_file: str = '',
                 data_root: str = '',
                 data_prefix: dict | None = None,
                 check_exists: str = 'sample',
                 backend_args: dict | None = None,
                 on_corrupt: str = 'error',
                 max_corrupt: int | float = 0.01,
                 **kwargs) -> None:
        if on_corrupt not in ('error', 'skip'):
            raise ValueError(f'on_corrupt is {on_corrupt!r}, expected '
                             "'error' or 'skip'.")
        data_prefix = dict(img='') if data_prefix is None else data_prefix
        if len(data_prefix) != 1 or not {'img', 'img_path'} & set(data_prefix):
            raise ValueError(f'data_prefix is {data_prefix!r}, expected '
                             "dict(img='FOLDER') and no other key.")
        self.check_exists = check_exists
        self.backend_args = backend_args
        self.on_corrupt = on_corrupt
        self.unreadable = UnreadableImages(max_corrupt)
        super().__init__(
            ann_file=osp.expanduser(ann_file),
            data_root=osp.expanduser(data_root),
            data_prefix={
                k: osp.expanduser(v)
                for k, v in data_prefix.items()
            },
            # The arrays need no serialisation to be shared, asked for or not.
            **dict(kwargs, serialize_data=False))

    def load_data_list(self) -> ImageTable:
        """Read the source.

        Returns:
            ImageTable: ``img_path``, ``img_id`` and perhaps the size.
        """
        img_prefix, = self.data_prefix.values()
        if not self.ann_file and not img_prefix:
            raise ValueError(
                'Neither ann_file nor a folder is given, expected data_root '
                'or data_prefix to name a folder of images.')
        table = read_images(self.ann_file, img_prefix, self.backend_args)
        self._name_prefix = table.prefix
        if self.ann_file:
            check_images_exist(table, self.ann_file, self.check_exists,
                               self.backend_args)
        return table

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Get what is known of an image.

        Args:
            idx (int): Index of the image.

        Returns:
            dict: As :meth:`load_data_list` gives it, and ``img_name``.
        """
        # The list makes a new dict, which upstream would copy deeply.
        info = dict(
            self.data_list[idx],
            sample_idx=idx if idx >= 0 else len(self) + idx)
        # Here and not in the list, which would keep every path twice.
        info['img_name'] = image_name(info['img_path'], self._name_prefix)
        return info

    @force_full_init
    def __getitem__(self, idx: int) -> dict:
        """Get a sample, or another one if the pipeline finds it unusable.

        Args:
            idx (int): Index of the image.

        Returns:
            dict: The pipeline's result. Packed data samples tell in their
            metainfo how many samples were given up for it, skipped images
            included: ``num_redrawn`` (int).

        Raises:
            RuntimeError: ``max_refetch`` draws in a row were of no use.
        """
        if self.test_mode:
            return super().__getitem__(idx)
        return self.first_usable(idx, self.prepare_data)

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on an image.

        Args:
            idx (int): Index of the image.

        Returns:
            dict or None: The pipeline's result, None for a skipped image.

        Raises:
            UnreadableImageError: The image cannot be read and ``on_corrupt``
                is ``'error'``.
            RuntimeError: More images than ``max_corrupt`` allows have been
                skipped, or every one.
        """
        try:
            return super().prepare_data(idx)
        except UnreadableImageError as error:
            if self.on_corrupt == 'error':
                raise
            if self.unreadable.add(error.img_path, error.reason):
                self.unreadable.total = len(self)
                self._warn_once(error)
                self.unreadable.check()
            return None

    def _warn_once(self, error: UnreadableImageError) -> None:
        """Say so even where no hook takes the list."""
        if len(self.unreadable) == 1:
            print_log(
                f'Image skipped: {error.img_path!r} {error.reason}. Others '
                'will be counted and listed, not logged one by one.',
                logger='current',
                level=logging.WARNING)
