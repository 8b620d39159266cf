# Copyright (c) mmloc contributors. All rights reserved.
"""Checks of images and boxes; what is broken is dropped and reported."""
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from mmloc.utils.processes import map_unordered, num_cores

from ..image_table import image_path
from ..transforms.loading import LoadImage, UnreadableImageError
from .findings import Findings
from .labeled_set import LabeledSet

_SKIP = '--skip-broken drops them'
#: Pixels by which a box may stick out for rounding alone.
_ROUNDING = 1.5
#: mmdet drops boxes thinner than a pixel, and images than 32, unasked.
_MIN_BOX, _MIN_IMAGE = 1, 32
_FEW_BOXES = 10


def check_set(part: LabeledSet,
              findings: Findings,
              workers: int | None = None,
              track: Callable | None = None) -> None:
    """Check a set and drop what is broken.

    Args:
        part (LabeledSet): Changed in place; sizes of images become those of
            the upright images, boxes are cut to them.
        findings (Findings): Gets what is wrong.
        workers (int, optional): Processes that read images. Defaults to one
            for each core.
        track (Callable, optional): Passes items through to show progress,
            see :func:`mmloc.utils.progress.track`.
    """
    _check_names(part, findings)
    _check_images(part, findings, workers or num_cores(), track)
    _check_boxes(part, findings)
    with_box = {ann['image_id'] for ann in part.annotations}
    findings.add(
        'note', f'{part.name}: images without any box',
        'training passes them over, and evaluation counts what is found on '
        'them as wrong; are they really empty?',
        [i['file_name'] for i in part.images if i['id'] not in with_box])
    findings.add(
        'note', f'{part.name}: regions to ignore (iscrowd)',
        'neither trained on nor counted as missed',
        [part.file_names[a['image_id']] for a in part.annotations
         if a.get('iscrowd')])
    findings.add(
        'warning', f'{part.name}: classes with fewer than {_FEW_BOXES} boxes',
        'too few to learn, or to measure AP by',
        [f'{name!r} ({n})' for name, n in part.boxes_by_class().items()
         if n < _FEW_BOXES])


def _check_names(part: LabeledSet, findings: Findings) -> None:
    counts = Counter(image['file_name'] for image in part.images)
    findings.add(
        'broken', f'{part.name}: images listed more than once',
        f'keep one entry with all its boxes; {_SKIP} but the first',
        [name for name, n in counts.items() if n > 1])
    seen: set = set()
    part.keep_images(lambda image: not (image['file_name'] in seen or seen.add(
        image['file_name'])))


def _check_images(part: LabeledSet, findings: Findings, workers: int,
                  track: Callable | None) -> None:
    """Read every image, for its size and to see that it can be read."""
    names = part.file_names
    results = map_unordered(_Read(part.root), names.items(), workers)
    if track:
        results = track(results, len(names), f'{part.name}: images')
    sizes = {image_id: size for (image_id, _), size in results}
    faults = {i: size for i, size in sizes.items() if isinstance(size, str)}
    missing = [i for i, text in faults.items() if text == 'does not exist']
    findings.add(
        'broken', f'{part.name}: images that do not exist',
        f'add them to {part.root}, or name another folder by --images; '
        f'{_SKIP} with their boxes', sorted(names[i] for i in missing))
    findings.add(
        'broken', f'{part.name}: images that cannot be read',
        f'replace them; {_SKIP} with their boxes',
        sorted(f'{names[i]} ({text})' for i, text in faults.items()
               if i not in missing))
    part.keep_images(lambda image: image['id'] not in faults)
    _check_sizes(part, sizes, findings)
    findings.add(
        'warning', f'{part.name}: images with a side below {_MIN_IMAGE} px',
        'mmdet drops them from the training unasked',
        [image['file_name'] for image in part.images
         if min(image['width'], image['height']) < _MIN_IMAGE])


@dataclass(frozen=True)
class _Read:
    """What a worker does with an image: width and height, or the fault."""
    root: str

    def __call__(self, job: tuple[int, str]) -> tuple[int, int] | str:
        try:
            path = image_path(job[1], self.root)
            height, width = LoadImage()(dict(img_path=path))['img_shape']
        except UnreadableImageError as error:
            return error.reason
        return width, height


def _check_sizes(part: LabeledSet, sizes: dict, findings: Findings) -> None:
    """Compare stated with real sizes, and take the real ones."""
    unstated, turned, other = [], [], []
    for image in part.images:
        stated = image['width'], image['height']
        real = sizes[image['id']]
        image.update(width=real[0], height=real[1])
        if 0 in stated:
            unstated.append(image['file_name'])
        elif stated != real:
            (turned if stated == real[::-1] else other).append(
                (image['id'], f'{image["file_name"]} ({stated[0]} x '
                 f'{stated[1]}, really {real[0]} x {real[1]})'))
    findings.add('note', f'{part.name}: images without a stated size',
                 'their real size is written', unstated)
    findings.add(
        'broken', f'{part.name}: images stated with width and height swapped',
        'a camera noted their rotation (EXIF), which loading applies: turn '
        f'the files themselves and label them upright; {_SKIP}, for their '
        'boxes would be elsewhere', [text for _, text in turned])
    findings.add(
        'broken', f'{part.name}: images of another size than stated',
        'were they resized after labelling? Then their boxes are elsewhere: '
        f'label or resize again; {_SKIP}', [text for _, text in other])
    bad = {image_id for image_id, _ in turned + other}
    part.keep_images(lambda image: image['id'] not in bad)


def _check_boxes(part: LabeledSet, findings: Findings) -> None:
    images = {image['id']: image for image in part.images}
    places, kept, seen = defaultdict(list), [], {}
    for ann in part.annotations:
        image = images[ann['image_id']]
        fault = _clip_box(ann, image)
        if not fault:
            key = (ann['image_id'], *ann['bbox'])
            others = seen.setdefault(key, set())
            if ann['category_id'] in others:
                fault = 'double'
            elif others:
                places['two classes'].append(image['file_name'])
            others.add(ann['category_id'])
        if fault:
            places[fault].append(f'{image["file_name"]} {ann.get("bbox")}')
        if fault in (None, 'out a little'):
            kept.append(ann)
    part.annotations = kept
    for fault, (level, text, advice) in _BOX_FAULTS.items():
        findings.add(level, f'{part.name}: {text}', advice, places[fault])


_BOX_FAULTS = {
    'malformed': ('broken', 'boxes that are not four finite numbers',
                  f'correct them; {_SKIP}'),
    'reversed': ('broken', 'boxes with x2 < x1 or y2 < y1 (negative width or '
                 'height)', f'swap their corners; {_SKIP}'),
    'empty': ('broken', 'boxes without area',
              f'a click in place of a box? {_SKIP}'),
    'outside': ('broken', 'boxes that lie outside of their image',
                f'do they belong to another image? {_SKIP}'),
    'thin': ('broken', 'boxes with a side below 1 px',
             f'mmdet would drop them unasked; {_SKIP}'),
    'out a little': ('warning', 'boxes that stick out of their image',
                     'cut at its edge'),
    'double': ('warning', 'boxes that are there twice', 'one is dropped'),
    'two classes': ('warning', 'boxes that another class has, too',
                    'kept; is one a mistake?'),
}


def _clip_box(ann: dict, image: dict) -> str | None:
    """Cut a box at the edges of its image; name what is wrong with it."""
    try:
        x, y, width, height = map(float, ann.get('bbox'))
    except (TypeError, ValueError):
        return 'malformed'
    if not all(map(math.isfinite, (x, y, width, height))):
        return 'malformed'
    if width < 0 or height < 0:
        return 'reversed'
    if width * height == 0:
        return 'empty'
    left, top = max(x, 0.), max(y, 0.)
    right = min(x + width, float(image['width']))
    bottom = min(y + height, float(image['height']))
    if left >= right or top >= bottom:
        return 'outside'
    if min(right - left, bottom - top) < _MIN_BOX:
        return 'thin'
    cut = max(left - x, top - y, x + width - right, y + height - bottom)
    ann['bbox'] = [left, top, right - left, bottom - top]
    return 'out a little' if cut > _ROUNDING else None
