# Copyright (c) mmloc contributors. All rights reserved.
"""Read boxes in COCO's or VOC's form, as lenient as can be said aloud."""
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from ..voc import IMAGE_FOLDERS, XML_FOLDERS, files_by_stem, list_stems
from .findings import Findings
from .labeled_set import LabeledSet

_SPLITS = (('train', 'val'), ('trainval', 'test'), ('train', 'test'))


def read_sets(source: str,
              val: str | None,
              findings: Findings,
              images: str | None = None,
              rename: Mapping[str, str] | None = None) -> list[LabeledSet]:
    """Read a data set with boxes, and perhaps another one for evaluation.

    Args:
        source (str): See :func:`read_labeled`.
        val (str, optional): The other set.
        findings (Findings): Gets what is wrong.
        images (str, optional): Folder of the images of jsons. Defaults to
            None, which looks for it.
        rename (Mapping[str, str], optional): See :func:`read_labeled`.

    Returns:
        list[LabeledSet]: One set, or those for training and evaluation.

    Raises:
        FileNotFoundError: A source or its images are missing.
        ValueError: A source is neither COCO's nor VOC's, or there are two
            sets for evaluation.
    """
    sets = read_labeled(source, 'train' if val else 'labelled set', findings,
                        images, rename)
    if val is None:
        return sets
    other = read_labeled(val, 'val', findings,
                         None if Path(val).is_dir() else images, rename)
    if len(sets) + len(other) > 2:
        raise ValueError(
            f'{source!r} or {val!r} has lists for training and validation of '
            'its own, and there is another set for evaluation; leave --val '
            'out.')
    return sets + other


def read_labeled(source: str,
                 name: str,
                 findings: Findings,
                 images: str | None = None,
                 rename: Mapping[str, str] | None = None) -> list[LabeledSet]:
    """Read a data set with boxes.

    Args:
        source (str): A COCO ``.json``, or a folder with images and VOC's
            ``.xml`` in two folders or in one.
        name (str): What to call it in messages.
        findings (Findings): Gets what is wrong.
        images (str, optional): Folder of the images. Defaults to None, which
            looks for it.
        rename (Mapping[str, str], optional): New names of classes by old
            ones. Defaults to None.

    Returns:
        list[LabeledSet]: One set, or two if a VOC folder has lists for
        training and validation.

    Raises:
        FileNotFoundError: The source or the images are missing.
        ValueError: The source is neither COCO's nor VOC's.
    """
    path = Path(source).expanduser().resolve()
    root = images and Path(images).expanduser().resolve()
    if path.is_dir():
        sets = _read_voc(path, root, name, findings)
    elif not path.exists():
        raise FileNotFoundError(f'The data set {source!r} does not exist; '
                                'give a COCO .json or a folder of VOC.')
    elif path.suffix.lower() == '.json':
        sets = [_read_coco(path, root, name, findings)]
    else:
        raise ValueError(f'{source!r} is neither a COCO .json nor a folder '
                         'in the form of VOC; give one of them.')
    for part in sets:
        part.categories = {
            key: (rename or {}).get(old, old)
            for key, old in part.categories.items()
        }
        counts = part.boxes_by_class()
        findings.add(
            'note', f'{part.name}: {len(part.images)} images, '
            f'{len(part.annotations)} boxes, classes ' +
            ', '.join(f'{n!r} ({counts[n]})' for n in sorted(counts)),
            f'images in {part.root}')
    return sets


def _read_coco(path: Path, root: Path | None, name: str,
               findings: Findings) -> LabeledSet:
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
        references = [(a['image_id'], a['category_id']) for a in annotations]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{str(path)!r} is not a COCO json of detection '
            f'({type(error).__name__}: {error}), expected images, annotations '
            'and categories with their ids.') from error
    if len(known) < len(images):
        first: dict = {}
        for image in images:
            first.setdefault(image['id'], image)
        findings.add(
            'broken', f'{name}: images whose id another image has',
            'give each its own id; --skip-broken drops them', [
                image['file_name'] for image in images
                if first[image['id']] is not image
            ])
        images = list(first.values())
    for what, index, ids in (('image', 0, known), ('category', 1, names)):
        findings.add(
            'broken', f'{name}: boxes whose {what} id is not listed',
            f'add the {what} or remove them; --skip-broken drops them',
            [f'{what} {ref[index]}' for ref in references
             if ref[index] not in ids])
    annotations = [a for a, (image, cat) in zip(annotations, references)
                   if image in known and cat in names]
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
    if not all(isinstance(image['id'], int) for image in images):
        findings.add('note', f'{name}: ids of images are no integers',
                     'numbered anew in the json that is written')
        for entries, key in ((images, 'id'), (annotations, 'image_id')):
            for entry in entries:
                entry[key] = known[entry[key]]
    return LabeledSet(name, str(root or _find_root(path, images)), images,
                      annotations, names)


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


def _read_voc(folder: Path, root: Path | None, name: str,
              findings: Findings) -> list[LabeledSet]:
    xml_folder = next(
        (folder / n for n in (*XML_FOLDERS, '.')
         if any((folder / n).glob('*.xml'))), None)
    if xml_folder is None:
        raise FileNotFoundError(
            f'There is no .xml in {str(folder)!r} nor in its folders '
            f'{", ".join(XML_FOLDERS)}; give a folder of VOC, or the .json '
            'of a COCO set.')
    root = root or next(
        (folder / n for n in (*IMAGE_FOLDERS, '.')
         if (folder / n).is_dir() and files_by_stem(folder / n)), None)
    if root is None:
        raise FileNotFoundError(
            f'There are no images in {str(folder)!r} nor in its folders '
            f'{", ".join(IMAGE_FOLDERS)}; name theirs by --images.')
    part = _read_xmls(xml_folder, root, name, findings)
    lists = folder / 'ImageSets' / 'Main'
    for train, val in _SPLITS:
        files = [lists / f'{split}.txt' for split in (train, val)]
        if all(file.is_file() for file in files):
            return [
                _subset(part, list_stems(file), f'{name} ({file.stem})',
                        findings) for file in files
            ]
    return [part]


def _subset(part: LabeledSet, stems: list[str], name: str,
            findings: Findings) -> LabeledSet:
    """Choose the images of a list."""
    wanted = set(stems)
    known = {Path(image['file_name']).stem for image in part.images}
    findings.add('broken', f'{name}: listed images without an .xml',
                 'annotate them or take them from the list; --skip-broken '
                 'passes them over', [s for s in stems if s not in known])
    result = LabeledSet(name, part.root, part.images, part.annotations,
                        dict(part.categories))
    result.keep_images(lambda i: Path(i['file_name']).stem in wanted)
    return result


def _read_xmls(xml_folder: Path, root: Path, name: str,
               findings: Findings) -> LabeledSet:
    """Read all annotations of a set. Image ids follow the sorted names."""
    files, images, objects = files_by_stem(root), [], []
    damaged, lonely, unboxed = [], [], []
    for path in sorted(xml_folder.glob('*.xml')):
        try:
            tree = ET.parse(path).getroot()
        except (ET.ParseError, UnicodeError) as error:
            damaged.append(f'{path.name} ({error})')
            continue
        file_name = files.pop(path.stem, None)
        stated = tree.findtext('filename', '').strip()
        if file_name is None and (root / stated).is_file():
            file_name = stated
        if file_name is None:
            lonely.append(path.name)
            continue
        images.append(dict(
            id=len(images) + 1, file_name=file_name,
            **{key: _int(tree.findtext(f'size/{key}'))
               for key in ('width', 'height')}))
        for obj in tree.findall('object'):
            box = _read_box(obj)
            if box is None:
                unboxed.append(path.name)
            else:
                objects.append((len(images), obj, box))
    findings.add('broken', f'{name}: .xml files that cannot be read',
                 'repair them; --skip-broken passes them over', damaged)
    findings.add('broken', f'{name}: .xml files without their image',
                 'add the images, named as the .xml, or remove the .xml; '
                 '--skip-broken passes them over', lonely)
    findings.add('broken', f'{name}: objects without name or box',
                 'complete them; --skip-broken drops them', unboxed)
    findings.add('note', f'{name}: images without .xml', 'not used here; they '
                 'are worth pretraining on', sorted(files.values()))
    return _as_coco(name, root, images, objects, findings)


def _int(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except ValueError:
        return 0


def _read_box(obj: ET.Element) -> list[float] | None:
    """Read xyxy of an object, None if it lacks a name or a number."""
    try:
        box = [float(obj.findtext(f'bndbox/{key}', ''))
               for key in ('xmin', 'ymin', 'xmax', 'ymax')]
    except ValueError:
        return None
    return box if (obj.findtext('name') or '').strip() else None


def _as_coco(name: str, root: Path, images: list[dict], objects: list[tuple],
             findings: Findings) -> LabeledSet:
    """Turn objects of VOC into annotations of COCO."""
    # VOC counts pixels from 1, and its last pixel belongs to the box.
    from_one = all(min(box[:2]) >= 1 for *_, box in objects)
    names = sorted({obj.findtext('name').strip() for _, obj, _ in objects})
    ids = {n: i for i, n in enumerate(names, 1)}
    annotations, difficult = [], []
    for image_id, obj, (left, top, right, bottom) in objects:
        left, top = left - from_one, top - from_one
        hard = (obj.findtext('difficult') or '').strip() == '1'
        if hard:
            difficult.append(images[image_id - 1]['file_name'])
        annotations.append(dict(
            image_id=image_id, category_id=ids[obj.findtext('name').strip()],
            bbox=[left, top, right - left, bottom - top], iscrowd=int(hard)))
    findings.add(
        'note', f'{name}: boxes count pixels from {1 if from_one else 0}',
        'as VOC says: xmin and ymin are lowered by 1' if from_one else
        'unlike VOC, whose first pixel is 1: taken as they are')
    findings.add(
        'note', f'{name}: difficult objects', 'kept as regions to ignore '
        '(iscrowd of COCO): neither trained on nor counted as missed',
        difficult)
    findings.add(
        'note', f'{name} is in the form of VOC',
        "converted to COCO's, for mmdet's VOCDataset knows the 20 classes of "
        'VOC alone; the metric is the AP of COCO')
    return LabeledSet(name, str(root), images, annotations,
                      {i: n for n, i in ids.items()})
