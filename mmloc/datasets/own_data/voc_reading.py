# Copyright (c) mmloc contributors. All rights reserved.
import xml.etree.ElementTree as ET
from pathlib import Path

from ..voc import IMAGE_FOLDERS, XML_FOLDERS, files_by_stem, list_stems
from .findings import Findings
from .labeled_set import LabeledSet

_SPLITS = (('train', 'val'), ('trainval', 'test'), ('train', 'test'))


def read_voc(folder: Path, root: Path | None, name: str,
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
