# Copyright (c) mmloc contributors. All rights reserved.
"""Put a folder of images and a budget into a pretraining config."""
from pathlib import Path

from mmengine.config import Config

from mmloc.datasets.image_folders import read_folder
from mmloc.datasets.image_names import IMG_SUFFIXES


def use_images(cfg: Config,
               folder: str,
               batch_size: int | None = None,
               cache_dir: str = 'data/proposal_cache') -> tuple[int, int]:
    """Let a pretraining config take the images of a folder.

    Those that cannot be read are skipped. If the config reads proposals from
    a file, they are computed when an image is first seen, and kept.

    Args:
        cfg (Config): Changed in place.
        folder (str): The images are in it and in the folders below it.
        batch_size (int, optional): In place of the config's.
        cache_dir (str): Folder in which proposals are kept. Defaults to
            'data/proposal_cache'.

    Returns:
        tuple[int, int]: Number of images, and of batches in an epoch.

    Raises:
        ValueError: The config is none of pretraining, or there are no images
            in the folder or fewer than a batch has.
    """
    loader = cfg.get('train_dataloader') or {}
    images = loader.get('dataset')
    while images and images.type != 'mmloc.UnlabeledImageDataset':
        images = images.get('dataset')
    if images is None and loader.get('dataset', {}).get('datasets'):
        raise ValueError(
            f'{cfg.filename} reads several data sets, expected a config with '
            'one; choose one of the *_folder.py configs in configs/insloc or '
            'configs/soco.')
    if not images:
        raise ValueError(
            f'{cfg.filename} is not a pretraining config, expected one of '
            'those in configs/insloc or configs/soco')
    path = str(Path(folder).expanduser().resolve())
    try:
        num = len(read_folder(path))
    except ValueError as error:
        raise ValueError(
            f'there are no images in {folder!r} and the folders below it; '
            f'expected files that end in {" ".join(IMG_SUFFIXES)}') from error
    loader.batch_size = batch_size or loader.batch_size
    if num < loader.batch_size:
        raise ValueError(
            f'there are {num} images in {folder!r}, fewer than the '
            f'{loader.batch_size} of a batch; give more images or a smaller '
            'batch size')
    images.update(
        ann_file='', data_root=path, data_prefix=dict(img=''),
        on_corrupt='skip')
    for step in images.get('pipeline', []):
        if step.type == 'mmloc.LoadProposals':
            step.type = 'mmloc.GenerateProposals'
            step.cache_dir = cache_dir
            del step.proposal_file
    return num, num // loader.batch_size


def set_epochs(cfg: Config, epochs: int) -> None:
    """Give a training another length.

    The parts of its learning rate schedule keep their shares of it; those
    that are left with less than half an epoch are dropped.

    Args:
        cfg (Config): Changed in place.
        epochs (int): The new length.
    """
    former = cfg.train_cfg.max_epochs
    cfg.train_cfg.max_epochs = epochs
    kept = []
    for scheduler in cfg.param_scheduler:
        if scheduler.get('by_epoch', True):
            old = (scheduler.get('begin', 0),
                   min(scheduler.get('end', former), former))
            begin, end = (round(epoch * epochs / former) for epoch in old)
            if begin == end:
                continue
            if scheduler.get('T_max') == old[1] - old[0]:
                scheduler.T_max = end - begin
            scheduler.update(begin=begin, end=end)
        kept.append(scheduler)
    cfg.param_scheduler = kept
