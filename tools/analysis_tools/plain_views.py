# Copyright (c) mmloc contributors. All rights reserved.
"""The papers' augmentations written plainly, with Pillow and torchvision.

The baseline of ``benchmark_pipeline.py``: whole decodes, Pillow's operations,
``ToTensor`` and ``Normalize``, for the views that a config describes. Pixels
only: no box is drawn, clipped or packed, and nothing is cut out.
"""
import random
from collections.abc import Sequence

from mmengine.config import Config
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import transforms as T
from torchvision.transforms.functional import InterpolationMode

_TO_TENSOR = [
    T.ToTensor(),
    T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
]


class PillowBlur:
    """Gaussian blur of a random radius, as in the code of MoCo-v2.

    Args:
        low (float): Least radius in pixels.
        high (float): Largest radius in pixels.
    """

    def __init__(self, low: float, high: float) -> None:
        self.range = low, high

    def __call__(self, img: Image.Image) -> Image.Image:
        """Blur."""
        radius = random.uniform(*self.range)
        return img.filter(ImageFilter.GaussianBlur(radius))


def colours(steps: Sequence[dict]) -> T.Compose:
    """What follows the geometry of a view, down to the normalised tensor.

    Args:
        steps (Sequence[dict]): The config's transforms.

    Returns:
        Compose: Of Pillow images.
    """
    return T.Compose([x for step in steps for x in _translate(step)] +
                     _TO_TENSOR)


def _translate(step: dict) -> list:
    """torchvision's transforms of one of ours, none for boxes and packing."""
    kind = step['type'].split('.')[-1]
    if kind == 'ColorJitter':
        names = ('brightness', 'contrast', 'saturation', 'hue')
        jitter = T.ColorJitter(**{name: step[name] for name in names})
        return [T.RandomApply([jitter], step['prob'])]
    if kind == 'RandomGrayscale':
        return [T.RandomGrayscale(step['prob'])]
    if kind == 'GaussianBlur':
        blur = PillowBlur(*step['magnitude_range'])
        return [T.RandomApply([blur], step['prob'])]
    if kind == 'Solarize':
        return [T.RandomSolarize(step['thr'], step['prob'])]
    if kind == 'RandomFlip':
        return [T.RandomHorizontalFlip(step['prob'])]
    return []


def open_rgb(path: str) -> Image.Image:
    """Decode a whole image."""
    with Image.open(path) as img:
        return img.convert('RGB')


class PlainViews:
    """Views cut out of one image, SoCo's.

    Args:
        views (dict[str, dict]): ``views`` of ``mmloc.MultiView``.
    """

    def __init__(self, views: dict[str, dict]) -> None:
        self.views = {}
        for name, view in views.items():
            step, = view['transforms']
            side = step['scale']
            side = (side, side) if isinstance(side, int) else tuple(side)[::-1]
            if step['type'].endswith('RandomResizedCrop'):
                geometry = T.RandomResizedCrop(side, step['crop_ratio_range'])
            else:
                geometry = T.Resize(side)
            self.views[name] = (view.get('source'), geometry,
                                colours(view['then']))

    def __call__(self, paths: Sequence[str], index: int) -> list[Tensor]:
        """Make the views of an image.

        Args:
            paths (Sequence[str]): All images.
            index (int): Which of them.

        Returns:
            list[Tensor]: A tensor (3, H, W) for each view.
        """
        sources = {None: open_rgb(paths[index])}
        views = []
        for name, (source, geometry, then) in self.views.items():
            sources[name] = geometry(sources[source])
            views.append(then(sources[name]))
        return views


class PlainComposites:
    """Crops pasted onto other images, InsLoc's.

    Args:
        branches (Sequence[Sequence[dict]]): The transforms of each view,
            ``mmloc.PasteInstance`` first.
    """

    def __init__(self, branches: Sequence[Sequence[dict]]) -> None:
        self.branches = [(branch[0].get('canvas', (256, 256)),
                          branch[0].get('width_range', (128, 254)),
                          colours(branch[1:])) for branch in branches]

    def __call__(self, paths: Sequence[str], index: int) -> list[Tensor]:
        """Make the composites of an image.

        Args:
            paths (Sequence[str]): All images, the backgrounds among them.
            index (int): Which of them is pasted.

        Returns:
            list[Tensor]: A tensor (3, H, W) for each view.
        """
        foreground = open_rgb(paths[index])
        views = []
        for canvas, sides, then in self.branches:
            img = open_rgb(random.choice(paths)).resize(
                canvas, Image.Resampling.BILINEAR)
            patch = self._patch(foreground, canvas, sides)
            place = [
                random.randrange(side - length)
                for side, length in zip(canvas, patch.size)
            ]
            img.paste(patch, place)
            views.append(then(img))
        return views

    @staticmethod
    def _patch(foreground: Image.Image, canvas: tuple[int, int],
               sides: tuple[int, int]) -> Image.Image:
        """A random crop, fitted into a random size with its aspect kept."""
        top, left, height, width = T.RandomResizedCrop.get_params(
            foreground, (0.2, 1.0), (0.5, 2.0))
        target = sorted(random.randint(*sides) for _ in range(2))
        ratio = min(target[1] / max(width, height),
                    target[0] / min(width, height))
        size = [
            min(max(round(length * ratio), 1), side - 1)
            for length, side in zip((width, height), canvas)
        ]
        return T.functional.resized_crop(foreground, top, left, height, width,
                                         size[::-1],
                                         InterpolationMode.BILINEAR)


def plain_pipeline(cfg: Config) -> PlainViews | PlainComposites:
    """The plain pipeline of the views that a config describes.

    Args:
        cfg (Config): A pretraining config.

    Returns:
        PlainViews or PlainComposites: Maps paths and an index to tensors.

    Raises:
        ValueError: The pipeline is neither SoCo's nor InsLoc's.
    """
    last = cfg.train_dataloader.dataset.pipeline[-1]
    if last['type'] == 'mmloc.MultiView':
        return PlainViews(last['views'])
    if last['type'].endswith('MultiBranch'):
        return PlainComposites([last[name] for name in last['branch_field']])
    raise ValueError(
        f'The pipeline of {cfg.filename} ends in {last["type"]}, expected '
        'mmloc.MultiView or MultiBranch, which the baseline can copy.')
