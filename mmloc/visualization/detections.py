# Copyright (c) mmloc contributors. All rights reserved.
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmdet.evaluation.functional import bbox_overlaps

from .drawing import draw_boxes, enlarge, tile

_IOU_THR = 0.5


def draw_detections(images: Sequence[np.ndarray],
                    ground_truth: Sequence[dict],
                    predictions: Mapping,
                    classes: Sequence[str],
                    score_thr: float = 0.3,
                    side: int = 256) -> np.ndarray:
    """Draw what several detectors found, side by side with the truth.

    One row for each image: the true boxes (yellow), then one cell for each
    detector. A detection is right (solid, blue) if its class is that of a
    true box that it overlaps with an IoU of at least 0.5 and that no
    detection of higher score has taken, and wrong (dashed, orange) if not;
    the title counts both.

    Args:
        images (Sequence[np.ndarray]): (H, W, 3), uint8, BGR.
        ground_truth (Sequence[dict]): For each image ``bboxes`` (K, 4), xyxy
            in pixels, and ``labels`` (K, ), int.
        predictions (Mapping[str, Sequence[dict]]): Name of the detector ->
            for each image ``bboxes``, ``labels`` and ``scores``.
        classes (Sequence[str]): Names of the labels.
        score_thr (float): Detections below it are left out. Defaults to 0.3.
        side (int): Longer side of an image in pixels. Defaults to 256.

    Returns:
        np.ndarray: The sheet, (H, W, 3), uint8, BGR.

    Raises:
        ValueError: There are no images, or the lists differ in length.
    """
    for name, items in dict(predictions, ground_truth=ground_truth).items():
        if len(items) != len(images):
            raise ValueError(f'{name!r} has {len(items)} entries for '
                             f'{len(images)} images, expected one for each.')
    cells, titles = [], []
    for i, image in enumerate(images):
        image, factor = enlarge(image, side)
        truth = _as_arrays(ground_truth[i], factor)
        texts = [classes[label] for label in truth['labels']]
        cells.append(draw_boxes(image, truth['bboxes'], 'yellow', texts))
        titles.append(f'truth: {len(texts)} object' + 's' * (len(texts) != 1))
        for name, items in predictions.items():
            found = _as_arrays(items[i], factor, score_thr)
            right = match_detections(found, truth)
            cells.append(_draw_found(image, found, right, classes))
            titles.append(f'{name}: {right.sum()} right, '
                          f'{(~right).sum()} wrong')
    return tile(cells, 1 + len(predictions), titles)


def draw_coco_detections(ann_file: str,
                         img_folder: str,
                         results: Mapping,
                         num: int = 6,
                         score_thr: float = 0.3,
                         side: int = 256) -> np.ndarray:
    """Do :func:`draw_detections` on the files of an evaluation.

    Args:
        ann_file (str): COCO json with the true boxes.
        img_folder (str): Folder of its images.
        results (Mapping[str, str]): Name of the detector -> the
            ``*.bbox.json`` that mmdet's ``CocoMetric`` writes if it is given
            an ``outfile_prefix``.
        num (int): How many images, the first ones with an object.
            Defaults to 6.
        score_thr (float): Detections below it are left out. Defaults to 0.3.
        side (int): Longer side of an image in pixels. Defaults to 256.

    Returns:
        np.ndarray: The sheet, (H, W, 3), uint8, BGR.

    Raises:
        FileNotFoundError: An image cannot be read.
        ValueError: No image has an object.
    """
    coco = json.loads(Path(ann_file).read_text())
    places = {cat['id']: i for i, cat in enumerate(coco['categories'])}
    truth = _by_image(coco['annotations'], places)
    infos = [info for info in coco['images'] if info['id'] in truth][:num]
    images = []
    for info in infos:
        path = str(Path(img_folder) / info['file_name'])
        images.append(cv2.imread(path))
        if images[-1] is None:
            raise FileNotFoundError(f'Cannot read the image {path!r} named by '
                                    f'{ann_file!r}; check the folder.')
    nothing = dict(bboxes=[], labels=[], scores=[])
    predictions = {}
    for name, path in results.items():
        found = _by_image(json.loads(Path(path).read_text()), places)
        predictions[name] = [found.get(i['id'], nothing) for i in infos]
    return draw_detections(
        images, [truth[info['id']] for info in infos], predictions,
        [cat['name'] for cat in coco['categories']], score_thr, side)


def match_detections(found: dict, truth: dict) -> np.ndarray:
    """Tell which detections are right, the highest scores choosing first.

    Args:
        found (dict): ``bboxes`` (D, 4), ``labels`` (D, ), ``scores`` (D, ).
        truth (dict): ``bboxes`` (K, 4), ``labels`` (K, ).

    Returns:
        np.ndarray: (D, ), bool.
    """
    right = np.zeros(len(found['labels']), bool)
    ious = bbox_overlaps(found['bboxes'], truth['bboxes'])
    ious[found['labels'][:, None] != truth['labels'][None]] = 0
    for i in np.argsort(-found['scores'], kind='stable'):
        if ious.shape[1] and ious[i].max() >= _IOU_THR:
            right[i] = True
            ious[:, ious[i].argmax()] = 0
    return right


def _draw_found(image, found: dict, right: np.ndarray, classes) -> np.ndarray:
    """Draw the wrong detections of an image, and the right ones on top."""
    for chosen, color in ((~right, 'orange'), (right, 'sky')):
        texts = [
            f'{classes[label]} {score:.2f}'
            for label, score in zip(found['labels'][chosen],
                                    found['scores'][chosen])
        ]
        image = draw_boxes(
            image, found['bboxes'][chosen], color, texts, color == 'orange')
    return image


def _as_arrays(items: dict, factor: float, score_thr: float = 0.0) -> dict:
    """Scale the boxes and drop low scores; missing scores count as 1."""
    labels = np.asarray(items['labels'], int)
    scores = np.asarray(items.get('scores', np.ones(len(labels))), float)
    boxes = np.asarray(items['bboxes'], np.float32).reshape(-1, 4) * factor
    kept = scores >= score_thr
    return dict(bboxes=boxes[kept], labels=labels[kept], scores=scores[kept])


def _by_image(anns: list, places: dict) -> dict:
    """Gather COCO annotations or results by image, with xyxy boxes."""
    images: dict = {}
    for ann in anns:
        items = images.setdefault(
            ann['image_id'], dict(bboxes=[], labels=[], scores=[]))
        x, y, width, height = ann['bbox']
        items['bboxes'].append([x, y, x + width, y + height])
        items['labels'].append(places[ann['category_id']])
        items['scores'].append(ann.get('score', 1.0))
    return images
