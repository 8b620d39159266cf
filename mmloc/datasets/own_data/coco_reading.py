# Copyright (c) mmloc contributors. All rights reserved.
import json
from pathlib import Path

from ..voc import IMAGE_FOLDERS
from .findings import Findings
from .labeled_set import LabeledSet


def read_coco(path: Path, root: Path | None, name: str,
              findings: Findings) -> LabeledSet:
    """Read a set in COCO's form.

    Args:
        path (Path): The json.
        root (Path, optional): Folder of the images, None to look for it.
        name (str): What to call it in messages.
        findings (Findings): Gets what is wrong.

    Returns:
        LabeledSet: The set.

    Raises:
        FileNotFoundError: The images are missing.
        ValueError: It is no COCO json of detection.
    """
    try:
        coco = json.loads(path.read_text(encoding='utf-8'))
        images, annotations, categories = (
            [dict(entry) for entry in coco[key]]
            for key in ('images', 'annotations', 'categories'))
        for image in images:
            image['file_name'] = str(image['file_name'])
            for key in ('width', 'height'):
                image[key] = int(image.get(key) or 0)
        names = {cat['id']: str(cat['name']) for cat in categories}
        known = {image['id']: i for i, image in enumerate(images, 1)}
        # Only to see that each has them.
        {(ann['image_id'], ann['category_id']) for ann in annotations}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{str(path)!r} is not a COCO json of detection '
            f'({type(error).__name__}: {error}), expected images, annotations '
            'and categories with their ids.') from error
    images, annotations = _drop_unlisted(
        name, images, annotations, names, findings)
    _check_categories(name, categories, names, findings)
    if not all(isinstance(image['id'], int) for image in images):
        findings.add('note', f'{name}: ids of images are no integers',
                     'numbered anew in the json that is written')
        for entries, key in ((images, 'id'), (annotations, 'image_id')):
            for entry in entries:
                entry[key] = known[entry[key]]
    return LabeledSet(name, str(root or _find_root(path, images)), images,
                      annotations, names)


def _drop_unlisted(name: str, images: list[dict], annotations: list[dict],
                   names: dict, findings: Findings) -> tuple[list, list]:
    """Drop images whose id is taken, and boxes of nothing."""
    first: dict = {}
    for image in images:
        first.setdefault(image['id'], image)
    findings.add(
        'broken', f'{name}: images whose id another image has',
        'give each its own id; --skip-broken drops them',
        [image['file_name'] for image in images
         if first[image['id']] is not image])
    for what, ids in (('image', first), ('category', names)):
        key = f'{what}_id'
        findings.add(
            'broken', f'{name}: boxes whose {what} id is not listed',
            f'add the {what} or remove them; --skip-broken drops them',
            [f'{what} {ann[key]}' for ann in annotations
             if ann[key] not in ids])
        annotations = [ann for ann in annotations if ann[key] in ids]
    return list(first.values()), annotations


def _check_categories(name: str, categories: list[dict], names: dict,
                      findings: Findings) -> None:
    if len(names) < len(categories):
        findings.add('wrong', f'{name}: several categories have one id',
                     'give each its own id')
    if len(set(names.values())) < len(names):
        findings.add('warning', f'{name}: several categories of one name',
                     'taken as one class')
    ids = sorted(names, key=str)
    if all(isinstance(i, int) for i in ids) and sorted(ids) != list(
            range(1, len(ids) + 1)):
        findings.add('note', f'{name}: category ids are {sorted(ids)[:12]}',
                     'nothing: gaps do not matter, the configs go by names')
    if any('supercategory' in cat for cat in categories):
        findings.add('note', f'{name}: there are supercategories',
                     'nothing: detectors do not use them')


def _find_root(path: Path, images: list[dict]) -> Path:
    """Find the folder of a json's images."""
    tried = [path.parent, path.parent / path.stem]
    for base in (path.parent, path.parent.parent):
        tried += [base / name for name in (
            *IMAGE_FOLDERS, path.stem, path.stem.replace('instances_', ''))]
    tried.append(path.parent.parent)
    # A few, for the first may be the one that is missing.
    for image in images[:20]:
        for folder in tried:
            if (folder / image['file_name']).is_file():
                return folder
    first = f', such as {images[0]["file_name"]!r},' if images else ''
    raise FileNotFoundError(
        f'The images of {str(path)!r}{first} are in none of the usual '
        f'folders ({", ".join(dict.fromkeys(map(str, tried[:5])))}, ...); '
        'name theirs by --images.')
